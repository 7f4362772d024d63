"""Rows of the chain, and of transactions as the chain sees them."""

import json
from decimal import Decimal
from typing import Any

from ledger.domain.chain import ChainedLine, ChainedTransaction, Link

_LINES = ("accounts", "assets", "amounts", "versions", "debits", "credits", "times")


def link_of(row: Any, tenant: str) -> Link:
    """Read a link."""
    return Link(tenant, row["number"], row["event_id"], row["digest"], row["hash"], row["late"])


def transaction_of(row: Any, tenant: str) -> ChainedTransaction:
    """Read a transaction with its lines."""
    columns = [row[name] or () for name in _LINES]
    return ChainedTransaction(
        tenant,
        row["event_id"],
        row["type"],
        row["posted_at"],
        row["effective_at"],
        row["reference"],
        _metadata(row["metadata"]),
        row["reverses"],
        row["captures"],
        tuple(ChainedLine(*line) for line in zip(*columns, strict=True)),
    )


def _metadata(text: str | None) -> Any:
    # Numbers as they are stored: of any size, and exact.
    return None if text is None else json.loads(text, parse_float=Decimal, parse_int=Decimal)
