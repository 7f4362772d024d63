"""The rows that every posting adds: for binary COPY where they are many, as columns where they are few.

asyncpg encodes a value at a time, by looking up how: with twenty-nine values an event that is a fifth of what posting
costs a worker. Here the values of fixed size are packed at once. Format: PostgreSQL's manual, COPY, "Binary Format".
"""

from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Any

import msgspec

from ledger.adapters.postgres.directory import json_text
from ledger.adapters.postgres.times import sent
from ledger.domain.transaction import Transaction

TRANSACTION_COLUMNS = (
    "event_id",
    "tenant_id",
    "type",
    "posted_at",
    "effective_at",
    "reference",
    "metadata",
    "reverses",
    "captures",
)
ENTRY_COLUMNS = (
    "tenant_id",
    "balance_id",
    "version",
    "event_id",
    "line",
    "asset",
    "amount",
    "posted_debits",
    "posted_credits",
    "posted_at",
)

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"

# A row begins with the count of its columns; before each value stands its length.
_transaction_ids = Struct(">h i16s ii").pack
_times = Struct(">iq iq").pack
_entry_ids = Struct(">h ii iq iq i16s ih").pack
_entry_totals = Struct(">iq iq iq iq").pack
_length = Struct(">i").pack

TenantIds = Callable[[str], int]
Rows = Callable[[Sequence[Transaction], TenantIds], bytes]
"""Packs rows of transactions."""


def whole(rows: Iterable[bytes]) -> bytes:
    """Put packed rows together to what a COPY takes."""
    return b"".join([_BEGIN, *rows, _END])


def transaction_rows(transactions: Sequence[Transaction], tenant_id: TenantIds) -> bytes:
    """Pack rows of `transactions`, in the order of TRANSACTION_COLUMNS."""
    parts: list[bytes] = []
    texts, moments = _Packed(_text), _Packed(sent)
    for each in transactions:
        parts += (
            _transaction_ids(9, 16, _uuid(each.id), 4, tenant_id(each.tenant)),
            texts[each.type],
            _times(8, moments[each.posted_at], 8, moments[each.effective_at]),
            _NULL if each.reference is None else _text(each.reference),
            _NULL if each.metadata is None else _json(each.metadata),
            _NULL if each.reverses is None else _id(each.reverses),
            _NULL if each.captures is None else _id(each.captures),
        )
    return b"".join(parts)


def entry_rows(transactions: Sequence[Transaction], tenant_id: TenantIds) -> bytes:
    """Pack rows of `entries`, in the order of ENTRY_COLUMNS; each balance must have its row by now."""
    parts: list[bytes] = []
    texts, moments = _Packed(_text), _Packed(sent)
    for each in transactions:
        tenant, event_id, posted_at = tenant_id(each.tenant), _uuid(each.id), moments[each.posted_at]
        for line, entry in enumerate(each.entries):
            balance_id = each.balances[line].row
            parts.append(_entry_ids(10, 4, tenant, 8, balance_id, 8, entry.version, 16, event_id, 2, line))
            parts.append(texts[entry.asset])
            parts.append(
                _entry_totals(8, entry.amount, 8, entry.posted_debits, 8, entry.posted_credits, 8, posted_at)
            )
    return b"".join(parts)


COPIES: tuple[tuple[str, Sequence[str], Rows], ...] = (
    ("transactions", TRANSACTION_COLUMNS, transaction_rows),
    ("entries", ENTRY_COLUMNS, entry_rows),
)
"""The tables that every posting adds to, with their columns, and what packs their rows."""


def transaction_columns(transactions: Sequence[Transaction], tenant_id: TenantIds) -> list[list[Any]]:
    """Give the same as columns."""
    return _columns(
        [
            each.id,
            tenant_id(each.tenant),
            each.type,
            each.posted_at,
            each.effective_at,
            each.reference,
            json_text(each.metadata),
            each.reverses,
            each.captures,
        ]
        for each in transactions
    )


def entry_columns(transactions: Sequence[Transaction], tenant_id: TenantIds) -> list[list[Any]]:
    """Give the same as columns."""
    return _columns(
        [
            tenant_id(each.tenant),
            each.balances[line].row,
            entry.version,
            each.id,
            line,
            entry.asset,
            entry.amount,
            entry.posted_debits,
            entry.posted_credits,
            each.posted_at,
        ]
        for each in transactions
        for line, entry in enumerate(each.entries)
    )


def _columns(rows: Iterable[list[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


class _Packed(dict[Any, Any]):
    """Values packed by `pack`, each once."""

    def __init__(self, pack: Callable[[Any], Any]) -> None:
        super().__init__()
        self._pack = pack

    def __missing__(self, value: Any) -> Any:
        packed = self[value] = self._pack(value)
        return packed


def _sized(value: bytes) -> bytes:
    return _length(len(value)) + value


def _text(text: str) -> bytes:
    return _sized(text.encode())


def _json(value: Any) -> bytes:
    # The first byte is the version of jsonb's own format; numbers of any size stay as they came.
    return _sized(b"\x01" + msgspec.json.encode(value))


def _id(event_id: str) -> bytes:
    return _sized(_uuid(event_id))


def _uuid(event_id: str) -> bytes:
    return bytes.fromhex(event_id.replace("-", ""))
