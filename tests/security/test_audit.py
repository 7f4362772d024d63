"""The audit of dependencies: findings fail, and what was not audited is never called so."""

import json
from typing import Any

import pytest

from tests.architecture.tree import ROOT
from tests.security.audit import ACCEPTED, LOCKS, Verdict, judged

KNOWN = {"name": "urllib3", "version": "1.0", "vulns": [{"id": "GHSA-1", "fix_versions": ["2.0"]}]}
FINE: dict[str, Any] = {"name": "uuid6", "version": "1.0", "vulns": []}
SKIPPED = {"name": "ours", "skip_reason": "not found"}
OFFLINE = "Traceback …\nrequests.exceptions.ConnectionError: Failed to resolve the host"


def printed(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def verdict(stdout: str = "", stderr: str = "") -> Verdict:
    return judged("requirements.lock", stdout, stderr)


def test_a_known_vulnerability_fails() -> None:
    code, said = verdict(printed(FINE, KNOWN), "Found 1 known vulnerability")
    assert (code, "urllib3 1.0: GHSA-1, mended in 2.0" in said) == (1, True)


def test_nothing_known_is_told_with_what_was_asked() -> None:
    assert verdict(printed(FINE)) == (0, "requirements.lock: 1 packages, no known vulnerability")


@pytest.mark.parametrize(
    ("stdout", "stderr", "why"),
    [("", OFFLINE, "cannot be reached"), (printed(FINE, SKIPPED), "", "nothing is known about ours")],
)
def test_what_could_not_be_asked_is_said_and_does_not_fail(stdout: str, stderr: str, why: str) -> None:
    code, said = verdict(stdout, stderr)
    assert (code, "NOT AUDITED" in said, why in said) == (0, True, True)


def test_a_finding_counts_though_others_were_skipped() -> None:
    assert verdict(printed(KNOWN, SKIPPED)).code == 1


@pytest.mark.parametrize("stderr", ["", "error: invalid requirements input"])
def test_an_audit_that_fails_for_another_reason_fails(stderr: str) -> None:
    assert verdict("", stderr).code == 1


def test_each_lock_has_a_hash_for_every_package() -> None:
    for lock in LOCKS:
        lines = [line for line in (ROOT / lock).read_text().splitlines() if "==" in line]
        assert lines
        assert [line for line in lines if not line.rstrip().endswith("\\")] == []


def test_what_is_accepted_has_a_reason() -> None:
    assert all(ACCEPTED.values())
