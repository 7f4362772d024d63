"""A ledger as Faust's manual leads to it: an agent that takes events one by one, and a database transaction each.

Run by stock_faust.py. It decides what the product decides of a transfer (an id once, no overdraft) and writes the
same rows (and the time into that of the id) in as few statements as seems natural; it publishes nothing.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import asyncpg
import faust
from faust.types import StreamT

from ledger.config import Settings
from loadtests.workloads import TENANT

_TENANT = "select tenant_id from tenants where code = $1"

_CLAIM = """
    insert into processed_events (event_id, tenant_id, fingerprint, type, kind, posted_at, topic, "partition", "offset")
    values ($1, $2, $3, $4, 'posted', $5, $6, $7, $8)
    on conflict (event_id, tenant_id) do nothing returning event_id
"""
_REFUSE = """
    insert into processed_events
        (event_id, tenant_id, fingerprint, type, kind, reason, posted_at, topic, "partition", "offset")
    values ($1, $2, $3, $4, 'rejected', 'insufficient_funds', $5, $6, $7, $8)
    on conflict (event_id, tenant_id) do nothing
"""
_FIND = """
    select b.balance_id from accounts a join balances b using (tenant_id, account_id)
    where a.tenant_id = $1 and a.code = $2 and b.asset = $3
"""
_KNOWN = """
    select a.code, b.asset, b.balance_id from accounts a join balances b using (tenant_id, account_id)
    where a.tenant_id = $1
"""
_OPEN_ACCOUNT = """
    insert into accounts (tenant_id, code, normal_side, overdraft, opened_at)
    values ($1, $2, 'credit', case when $2 not like 'external:%' then 0 end, now())
    on conflict (tenant_id, code) do nothing
"""
_OPEN_BALANCE = """
    insert into balances (tenant_id, account_id, asset, normal_side, overdraft,
                          posted_debits, posted_credits, held, version)
    select tenant_id, account_id, $3, normal_side, overdraft, 0, 0, 0, 0
    from accounts where tenant_id = $1 and code = $2
    on conflict (tenant_id, account_id, asset) do nothing
"""
_MOVE = """
    update balances set posted_debits = posted_debits + $3, posted_credits = posted_credits + $4,
        version = version + 1, last_posted_at = $5
    where tenant_id = $1 and balance_id = $2
    returning version, posted_debits, posted_credits
"""
_TRANSACTION = """
    insert into transactions (event_id, tenant_id, type, posted_at, effective_at) values ($1, $2, $3, $4, $4)
"""
_ENTRIES = """
    insert into entries (tenant_id, balance_id, version, event_id, line, asset, amount,
                         posted_debits, posted_credits, posted_at)
    values ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9), ($1, $10, $11, $4, 1, $5, $12, $13, $14, $9)
"""


class Data(faust.Record):
    """What a transfer moves."""

    debit: str
    credit: str
    amount: int
    asset: str


class Transfer(faust.Record):
    """A transfer as it comes."""

    id: str
    type: str
    tenant: str
    data: Data


class Ledger:
    """The books, one transaction at a time."""

    def __init__(self, connection: Any, tenant_id: int) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._known: dict[tuple[str, str], int] = {}

    async def remember(self) -> None:
        """Learn which balances there are, so that none of them is looked up while it is measured."""
        rows = await self._connection.fetch(_KNOWN, self._tenant_id)
        self._known = {(row["code"], row["asset"]): row["balance_id"] for row in rows}

    async def post(self, event: Transfer, message: Any) -> None:
        """Post one transfer, or refuse it; an id that was there changes nothing."""
        digest = blake2b(message.value, digest_size=16).digest()
        place = (message.topic, message.partition, message.offset)
        now = datetime.now(UTC)
        claim = (event.id, self._tenant_id, digest, event.type, now, *place)
        try:
            async with self._connection.transaction():
                if await self._connection.fetchval(_CLAIM, *claim):
                    await self._write(event, now)
        except asyncpg.CheckViolationError:
            await self._connection.execute(_REFUSE, *claim)

    async def _write(self, event: Transfer, now: datetime) -> None:
        data, tenant, connection = event.data, self._tenant_id, self._connection
        debit, credit = [await self._balance(each, data.asset) for each in (data.debit, data.credit)]
        moves = {debit: (data.amount, 0), credit: (0, data.amount)}
        # In the order of their keys, so that no two transactions wait for each other in a ring.
        moved = {
            each: await connection.fetchrow(_MOVE, tenant, each, *moves[each], now) for each in sorted(moves)
        }
        await connection.execute(_TRANSACTION, event.id, tenant, event.type, now)
        paid, got = moved[debit], moved[credit]
        await connection.execute(
            _ENTRIES,
            *(tenant, debit, paid["version"], event.id, data.asset, -data.amount),
            *(paid["posted_debits"], paid["posted_credits"], now),
            *(credit, got["version"], data.amount, got["posted_debits"], got["posted_credits"]),
        )

    async def _balance(self, account: str, asset: str) -> int:
        key, connection = (account, asset), self._connection
        if key not in self._known:
            found = await connection.fetchval(_FIND, self._tenant_id, *key)
            if found is None:
                await connection.execute(_OPEN_ACCOUNT, self._tenant_id, account)
                await connection.execute(_OPEN_BALANCE, self._tenant_id, *key)
                found = await connection.fetchval(_FIND, self._tenant_id, *key)
            self._known[key] = found
        return self._known[key]


@asynccontextmanager
async def ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """Connect to the books."""
    connection = await asyncpg.connect(
        settings.postgres_dsn, server_settings={"search_path": settings.postgres_schema}
    )
    try:
        made = Ledger(connection, await connection.fetchval(_TENANT, TENANT))
        await made.remember()
        yield made
    finally:
        await connection.close()


def make_app(settings: Settings, *, isolated: bool) -> faust.App:
    """Make the app: an agent over the events of a topic; `isolated`: one for each partition, side by side."""
    app = faust.App(
        settings.posting_group,
        broker=f"kafka://{settings.kafka_bootstrap}",
        datadir=settings.state_dir,
        web_enabled=False,
        topic_disable_leader=True,
    )
    topic = app.topic(settings.payments_topic, value_type=Transfer)

    @app.agent(topic, isolated_partitions=isolated)
    async def post(transfers: StreamT[Transfer]) -> None:
        async with ledger(settings) as books:
            async for event in transfers.events():
                await books.post(event.value, event.message)

    return app


if __name__ == "__main__":
    made = make_app(Settings(), isolated="--isolated" in sys.argv)
    faust.Worker(made, loglevel="warning", quiet=True).execute_from_commandline()
