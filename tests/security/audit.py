"""Known vulnerabilities of what the lock installs: `python -m tests.security.audit` (part of `make check`).

Findings fail. That advisories cannot be reached does not: it is said, and nothing is called audited then.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LOCKS = ("requirements.lock", "requirements-bootstrap.lock", "deploy/requirements.lock")
TIMEOUT_S = 60
ACCEPTED: Mapping[str, str] = {}
"""Advisories that do not concern this project, by their ids, each with the reason."""

_AWAY = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "HTTPError",
    "ServiceError",
    "ProxyError",
    "SSLError",
)


class Verdict(NamedTuple):
    """What came of an audit."""

    code: int
    said: str


def main() -> int:
    verdicts = [audited(lock) for lock in LOCKS]
    for verdict in verdicts:
        sys.stderr.write(f"{verdict.said}\n")
    return max(verdict.code for verdict in verdicts)


def audited(lock: str) -> Verdict:
    """Ask the advisories about every package of a lock."""
    program = [str(Path(sys.executable).parent / "pip-audit"), "--vulnerability-service", "osv"]
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    ignored = [word for each in ACCEPTED for word in ("--ignore-vuln", each)]
    command = [*program, *options, *ignored, "--requirement", lock]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return _not_audited(lock, f"no answer within {TIMEOUT_S} s")
    return judged(lock, done.stdout, done.stderr)


def judged(lock: str, stdout: str, stderr: str) -> Verdict:
    """Judge what pip-audit printed."""
    if not stdout.strip():
        last = stderr.strip().splitlines()[-1:] or ["it said nothing"]
        if any(fault in stderr for fault in _AWAY):
            return _not_audited(lock, f"the advisories cannot be reached: {last[0][:80]} …")
        return Verdict(1, f"{lock}: the audit failed: {last[0]}")
    packages: Sequence[Mapping[str, Any]] = json.loads(stdout)["dependencies"]
    if found := [line for package in packages for line in _vulnerabilities(package)]:
        return Verdict(1, "\n".join([f"{lock}: {len(found)} known vulnerabilities", *found]))
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        return _not_audited(lock, f"nothing is known about {', '.join(skipped)}")
    return Verdict(0, f"{lock}: {len(packages)} packages, no known vulnerability")


def _not_audited(lock: str, why: str) -> Verdict:
    return Verdict(0, f"{lock}: NOT AUDITED: {why}")


def _vulnerabilities(package: Mapping[str, Any]) -> list[str]:
    name = f"{package['name']} {package.get('version', '')}"
    return [
        f"  {name}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'no version'}"
        for each in package.get("vulns", ())
    ]


if __name__ == "__main__":
    sys.exit(main())
