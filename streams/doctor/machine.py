"""This machine: Python, packages, settings, state directory, disk, and the stack of `ledger up`."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ledger.config import Settings
from streams.doctor.finding import Finding, Level, fine, judged
from streams.embedded.errors import EmbeddedError
from streams.embedded.state import FREE_BYTES_MIN, StateDirectory
from streams.settings import CRASH_VARIABLE, Source, shown_settings, unknown_variables

DISTRIBUTION = "stream-ledger"
PYTHON_MIN = (3, 11)
_PIN = re.compile(r"([A-Za-z0-9_.-]+)(?:\[.*?\])?==([^;\s,]+)$")


def machine_findings(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything that needs no server."""
    yield _python()
    yield _packages()
    yield _settings(settings, environment)
    yield _variables(environment)
    yield _state_directory(settings.state_dir)
    yield _disk(settings.state_dir)
    yield stack_finding(settings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info[:2] < PYTHON_MIN
    return judged("python", found, wrong="Use Python 3.11 or newer." if old else "")


def _packages() -> Finding:
    try:
        pins = dict(pinned(requires(DISTRIBUTION) or ()))
    except PackageNotFoundError:
        return judged("packages", f"{DISTRIBUTION} is not installed", wrong=INSTALL)
    return packages_finding(pins, {name: _installed(name) for name in pins})


INSTALL = "Install the locked dependencies: `make install`."


def pinned(requirements: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The requirements whose version is fixed, with it; `0.14.*` fixes only what stands before the star."""
    for requirement in requirements:
        pin = _PIN.match(requirement)
        if pin is not None:
            yield pin[1], pin[2]


def packages_finding(pins: Mapping[str, str], installed: Mapping[str, str | None]) -> Finding:
    """Compare what is installed with what the program was tested with."""
    off = [
        f"{name} {installed[name] or 'missing'}, not {pin}"
        for name, pin in pins.items()
        if not _fits(installed[name], pin)
    ]
    detail = "; ".join(off) or ", ".join(f"{name} {installed[name]}" for name in pins)
    return judged("packages", detail, wrong=INSTALL if off else "")


def _fits(found: str | None, pin: str) -> bool:
    if found is None:
        return False
    return found.startswith(pin[:-1]) if pin.endswith("*") else found == pin


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _settings(settings: Settings, environment: Mapping[str, str]) -> Finding:
    given = [
        each.name for each in shown_settings(settings, environment, {}) if each.source is Source.ENVIRONMENT
    ]
    return fine("settings", f"set: {', '.join(given)}" if given else "all at their defaults")


def _variables(environment: Mapping[str, str]) -> Finding:
    unknown = unknown_variables(environment)
    said = [f"{name} (is {meant} meant?)" if meant else name for name, meant in unknown.items()]
    if CRASH_VARIABLE in environment:
        said.append(f"{CRASH_VARIABLE} (makes workers die, for tests)")
    if not said:
        return fine("variables", "every LEDGER_ variable is a setting")
    return judged(
        "variables",
        f"not settings: {', '.join(said)}",
        warning="Unset them, or correct their names: `ledger doctor --settings`.",
    )


def _state_directory(path: Path) -> Finding:
    full = path.expanduser().absolute()
    nearest = _nearest(full)
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return judged(
        "state_directory",
        f"{full} {'can' if writable else 'cannot'} be written",
        wrong="" if writable else "Set LEDGER_STATE_DIR to a directory that can be written.",
    )


def _disk(path: Path) -> Finding:
    nearest = _nearest(path.expanduser().absolute())
    free_bytes = shutil.disk_usage(nearest).free
    little = free_bytes < FREE_BYTES_MIN
    return judged(
        "disk",
        f"{free_bytes // 1024**2:,} MiB free at {nearest}",
        wrong="Free some room (1 GiB at least), or set LEDGER_STATE_DIR to another disk." if little else "",
    )


def _nearest(path: Path) -> Path:
    """The path, or what is there of the way to it."""
    return next(above for above in (path, *path.parents) if above.exists())


def stack_finding(settings: Settings) -> Finding:
    """Whether there are servers to go to: those that are set, or a stack that runs here."""
    if settings.kafka_bootstrap and settings.postgres_dsn:
        return fine("stack", "not needed: both servers are set")
    state = StateDirectory(settings.state_dir)
    try:
        pid = state.supervisor()
    except EmbeddedError as error:
        return Finding("stack", Level.AWAY, error.sentence, error.hint)
    if pid is None:
        remedy = "Start a stack with `ledger up`, or set LEDGER_KAFKA_BOOTSTRAP and LEDGER_POSTGRES_DSN."
        return Finding("stack", Level.AWAY, f"no stack runs in {state}", remedy)
    return _running(state, pid)


def _running(state: StateDirectory, pid: int) -> Finding:
    record = state.read()
    unready = [process.name for process in record.processes if not process.ready]
    detail = (
        f"not ready: {', '.join(unready)}; process {pid}" if unready else f"{record.phase}, process {pid}"
    )
    broken = record.phase != "ready" or unready
    return judged(
        "stack",
        detail,
        wrong=f"`ledger status`; why it does not come is in the logs in {state.logs}." if broken else "",
    )
