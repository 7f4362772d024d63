"""Named crash points: `LEDGER_CRASH=name:n` ends the process at once, as kill -9 would, the nth time it gets there.

Tests and fault runs set it; without it a point costs one comparison.
"""

import os
from typing import Literal, get_args

CrashPoint = Literal[
    "claimed",
    "before_commit",
    "committed",
    "before_publish",
    "published",
    "before_checkpoint",
    "checkpoint_written",
    "saga_stored",
    "attempt_begun",
    "provider_answered",
    "step_published",
    "webhooks_heard",
    "webhook_kept",
    "voids_sent",
    "links_written",
    "segment_written",
    "letter_sent",
    "batch_replayed",
]
POINTS: tuple[str, ...] = get_args(CrashPoint)

_NAME, _, _COUNT = os.environ.get("LEDGER_CRASH", "").partition(":")
_IS_VALID = not _COUNT or (bool(_NAME) and _COUNT.isdecimal() and int(_COUNT) > 0)
_left = int(_COUNT or 1) if _IS_VALID else 0
EXIT_CODE = 137


class CrashSettingError(ValueError):
    """LEDGER_CRASH is not the name of a crash point and a count."""


def check_crash_setting() -> None:
    """Raise CrashSettingError unless LEDGER_CRASH is empty, or a crash point, with or without a count."""
    if _NAME and _NAME not in POINTS:
        raise CrashSettingError(
            f"LEDGER_CRASH is {_NAME!r}: there is no such crash point, only {', '.join(POINTS)}."
        )
    if not _IS_VALID:
        raise CrashSettingError(
            f"LEDGER_CRASH is {f'{_NAME}:{_COUNT}'!r}: it takes the name of a crash point and a count from 1, "
            "NAME:COUNT, and is for tests."
        )


def crash_point(name: CrashPoint) -> None:
    """End here, if this is the point that was asked for."""
    if _NAME and name == _NAME:
        _count_down()


def _count_down() -> None:
    global _left
    _left -= 1
    if _left <= 0:
        os._exit(EXIT_CODE)
