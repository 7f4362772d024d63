"""Named crash points: `LEDGER_CRASH=name:n` ends the process at once, as kill -9 would, the nth time it gets there.

Tests and fault runs set it; without it a point costs one comparison.
"""

import os

_NAME, _, _COUNT = os.environ.get("LEDGER_CRASH", "").partition(":")
_IS_VALID = not _COUNT or (_COUNT.isdecimal() and int(_COUNT) > 0)
_left = int(_COUNT or 1) if _IS_VALID else 0
EXIT_CODE = 137


class CrashSettingError(ValueError):
    """LEDGER_CRASH is not a name and a count."""


def check_crash_setting() -> None:
    """Raise CrashSettingError unless LEDGER_CRASH is empty, or a name, with or without a count."""
    if not _IS_VALID:
        raise CrashSettingError(
            f"LEDGER_CRASH is {f'{_NAME}:{_COUNT}'!r}: it takes the name of a crash point and a count from 1, "
            "NAME:COUNT, and is for tests."
        )


def crash_point(name: str) -> None:
    """End here, if this is the point that was asked for."""
    if _NAME and name == _NAME:
        _count_down()


def _count_down() -> None:
    global _left
    _left -= 1
    if _left <= 0:
        os._exit(EXIT_CODE)
