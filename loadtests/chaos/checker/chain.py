"""The audit chain: each link follows on the one before it, as docs/chain.md says, and the head is the last."""

from hashlib import blake2b
from typing import Any, NamedTuple

from loadtests.chaos.checker.ahead import rows_ahead
from loadtests.chaos.checker.checks import sql
from loadtests.chaos.checker.report import Finding, Report

AT_ONCE = 5_000
BROKEN = "changed: a link does not follow on the one before it"
NO_HEAD = "changed: the head of a chain is not its last link"


class Head(NamedTuple):
    """The end of a tenant's chain."""

    number: int
    hash: bytes


async def check_chain(connection: Any, report: Report) -> None:
    """Walk every tenant's chain, and add what is wrong; in a transaction."""
    heads: dict[str, Head] = {}
    count = 0
    async for tenant, number, event_id, digest, hashed, late in rows_ahead(
        connection, sql("chain_links"), at_once=AT_ONCE
    ):
        before = heads.get(tenant) or Head(0, _digest(b"ledger.tenant", tenant.encode()))
        content = before.hash + number.to_bytes(8, "big") + event_id.bytes + digest + bytes([late])
        if number != before.number + 1 or hashed != _digest(b"ledger.link", content):
            report.add([Finding("L", BROKEN, f"{tenant}/{event_id}", f"link {number} after {before.number}")])
        heads[tenant] = Head(number, hashed)
        count += 1
    told = {
        row["tenant"]: Head(row["number"], row["hash"]) for row in await connection.fetch(sql("chain_heads"))
    }
    for tenant in sorted(told.keys() | heads.keys()):
        if told.get(tenant) != heads.get(tenant):
            detail = f"the head is {_number(told.get(tenant))}, the last link {_number(heads.get(tenant))}"
            report.add([Finding("L", NO_HEAD, tenant, detail)])
    report.checked("L", count)


def _number(head: Head | None) -> int | None:
    return None if head is None else head.number


def _digest(kind: bytes, content: bytes) -> bytes:
    return blake2b(content, digest_size=32, person=kind).digest()
