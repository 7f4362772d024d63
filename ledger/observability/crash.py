"""Named crash points: `LEDGER_CRASH=name:n` ends the process at once, as kill -9 would, the nth time it gets there.

Tests and fault runs set it; without it a point costs one comparison.
"""

import os

_NAME, _, _COUNT = os.environ.get("LEDGER_CRASH", "").partition(":")
_left = int(_COUNT or 1)
EXIT_CODE = 137


def crash_point(name: str) -> None:
    """End here, if this is the point that was asked for."""
    if _NAME and name == _NAME:
        _count_down()


def _count_down() -> None:
    global _left
    _left -= 1
    if _left <= 0:
        os._exit(EXIT_CODE)
