"""What a report says of the run that made it."""

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from streams.cli.asking import user_name
from streams.settings import masked


def made_by(why: str = "") -> Sequence[tuple[str, str]]:
    """Say when it was made, with which command, by whom, why if that is known, and by which version."""
    facts = [
        ("made at", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("command", masked(shlex.join(["ledger", *sys.argv[1:]]))),
        ("by", user_name()),
        ("why", why),
        ("version", _version()),
    ]
    return [(name, told) for name, told in facts if told]


def _version() -> str:
    try:
        return f"stream-ledger {version('stream-ledger')}"
    except PackageNotFoundError:
        return ""
