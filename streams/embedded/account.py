"""The account of a server that refuses to run as root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from streams.embedded.errors import StateDirectoryError

DAC_OVERRIDE = 1
DAC_READ_SEARCH = 2
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """A user id and group id to change to, and a capability to keep (see capabilities(7)) or none."""

    uid: int
    gid: int
    capability: int | None = None

    def own(self, path: Path) -> None:
        """Give the file to this account."""
        os.chown(path, self.uid, self.gid)


def unprivileged(*paths: Path) -> Account | None:
    """For root: `nobody`, able to get to `paths`. For anybody else none: they stay who they are."""
    if os.geteuid() != 0:
        return None
    uid, gid = _nobody()
    if all(open_to_others(path) for path in paths):
        return Account(uid, gid)
    return Account(uid, gid, _passage(paths))


def open_to_others(path: Path) -> bool:
    """Whether every directory above `path` lets everybody through."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return entry.pw_uid, entry.pw_gid


def _passage(paths: tuple[Path, ...]) -> int:
    # A state directory below /root or in a private temporary directory is closed to `nobody`. Rather than
    # put the data elsewhere, the server keeps the one right of root that lets it pass: the narrower one,
    # if we have it.
    held = _effective_capabilities()
    for capability in (DAC_READ_SEARCH, DAC_OVERRIDE):
        if held & (1 << capability):
            return capability
    closed = next(path for path in paths if not open_to_others(path))
    raise StateDirectoryError(
        f"PostgreSQL does not run as root, and no other user can get to {closed}.",
        "Set LEDGER_STATE_DIR to a directory that others can enter, or run as another user than root.",
    )


def _effective_capabilities() -> int:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
