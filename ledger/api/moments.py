"""Moments from numbers."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(microseconds: int) -> datetime:
    """Give the time so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=microseconds)
