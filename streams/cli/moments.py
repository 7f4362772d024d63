"""Moments as people type them: RFC 3339, or so long ago."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class MomentFormatError(ValueError):
    """What should be a moment is none."""


def parse_moment(text: str, now: datetime) -> datetime:
    """Read `2026-11-21T10:00:00Z`, a date, or `90s`, `15m`, `2h`, `7d` ago; without an offset it is UTC.

    Raises MomentFormatError.
    """
    try:
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MomentFormatError(
            f"{text!r} is no moment: 2026-11-21T10:00:00Z is, and so are 2026-11-21, 90s, 15m, 2h and 7d (ago)."
        ) from error


def written(moment: datetime | None) -> str | None:
    """Write a moment as programs read it."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
