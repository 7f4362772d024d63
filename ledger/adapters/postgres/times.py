"""Times as PostgreSQL sends and takes them in binary: microseconds since 2000 began."""

from datetime import UTC, datetime
from functools import lru_cache

from ledger.domain.moments import microseconds, moment_of

_EPOCH = microseconds(datetime(2000, 1, 1, tzinfo=UTC))
_NEVER = -(2**63)


def sent(moment: datetime) -> int:
    """Count as the server does."""
    return microseconds(moment) - _EPOCH


@lru_cache(maxsize=1024)
def received(count: int) -> datetime | None:
    """Read a count of the server's; '-infinity' is None. The balances of a batch share those of a few before."""
    return None if count == _NEVER else moment_of(count + _EPOCH)
