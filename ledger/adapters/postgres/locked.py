"""What `lock_balances` gives: thousands of rows as one value, for which asyncpg makes no object a field."""

from collections.abc import Iterator
from struct import Struct

Locked = tuple[int, int, int, int, int, int, int, bool]
"""Number of the row, time when it was made, posted debits and credits, held (minor units), version, time of the last
posting, and whether it is closed; times are counted as in times.py."""

_ROW = Struct(">qqqqqqq?")


def unpack(packed: bytes | None) -> Iterator[Locked]:
    """Give the rows of a value of `lock_balances`, in their order."""
    return _ROW.iter_unpack(packed or b"")
