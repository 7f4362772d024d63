"""The provider's own book against payments: money moved there once, and only where a payment says so."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import orjson

from loadtests.chaos.checker.report import Finding, Report

_PAYMENTS = """
select t.code as tenant, p.event_id::text as id, p.state, p.amount, p.asset
from payments p join tenants t using (tenant_id) where p.provider = $1
"""
_MOVES = {"settled": (1, 0), "refunded": (1, 1), "declined": (0, 0), "released": (0, 0), "expired": (0, 0)}


class Paid(NamedTuple):
    """One payment of the books: where it ended, with how much."""

    state: str
    amount: int
    asset: str


async def check_provider(connection: Any, url: str, name: str, report: Report) -> None:
    """Read the book, and compare it with the payments that go by that provider."""
    async with httpx.AsyncClient(timeout=60.0) as client:
        answer = (await client.get(f"{url.rstrip('/')}/book/lines")).raise_for_status()
    lines = [orjson.loads(line) for line in answer.text.splitlines()]
    payments = {
        (row["tenant"], row["id"]): Paid(row["state"], row["amount"], row["asset"])
        for row in await connection.fetch(_PAYMENTS, name)
    }
    report.checked("S", len(lines))
    report.add(book_findings(payments, lines))


def book_findings(
    payments: Mapping[tuple[str, str], Paid], lines: Iterable[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Compare payments with the lines of a provider's book; gives what is wrong."""
    moved: dict[tuple[str, str], dict[str, int]] = {}
    for line in lines:
        key = (line["tenant"], line["payment"])
        paid, name = payments.get(key), "/".join(key)
        if paid is None:
            yield Finding("S", "the provider knows a payment that is not in the books", name, line["kind"])
            continue
        if (line["amount"], line["asset"]) != (paid.amount, paid.asset):
            detail = f"{line['amount']} {line['asset']} instead of {paid.amount} {paid.asset}"
            yield Finding("S", "the provider moved another amount", name, detail)
        if line["state"] == "accepted":
            counts = moved.setdefault(key, {"charge": 0, "refund": 0})
            counts[line["kind"]] += 1
    for key, paid in payments.items():
        counts = moved.get(key, {"charge": 0, "refund": 0})
        found, wanted = (counts["charge"], counts["refund"]), _MOVES.get(paid.state)
        detail = f"{paid.state}: {found[0]} charges, {found[1]} refunds"
        if max(found) > 1:
            yield Finding("S", "the provider moved money twice", "/".join(key), detail)
        elif wanted is not None and found[0] - found[1] != wanted[0] - wanted[1]:
            yield Finding("S", "the provider's book is not ours", "/".join(key), detail)
