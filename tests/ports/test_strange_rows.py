"""What strangers write, and rows that nobody can read, stop neither claims nor what is heard."""

from typing import Any, cast

import pytest

from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.types import Pool
from streams.agents.hear_webhooks import HearWebhooks
from streams.patience import Patience
from tests.builders import event_id
from tests.fakes import RememberedSignals
from tests.ports.payments import Office
from tests.streams.test_hear_webhooks import chunk, webhook


@pytest.mark.parametrize("form", ["{%s}", "urn:uuid:%s", "%s-", "a\0%s"])
async def test_no_id_that_a_stranger_writes_reaches_the_books(postgres_office: Office, form: str) -> None:
    signals = RememberedSignals()
    hear = HearWebhooks(cast(Any, None), postgres_office.store, signals, Patience())
    await hear(chunk(webhook(form % event_id("p"), key="k"), webhook(event_id("p"), tenant="a\0b", key="k")))
    assert signals.names().count("webhook.not_heard") == 2


async def spoiled(office: Office, pool: Pool, name: str, saga: str) -> str | None:
    """Store another saga for a payment, past all checks; gives the one that it had."""
    async with pool.acquire() as connection:
        found: str | None = await connection.fetchval(
            """update payments p set saga = $2 from payments o
               where p.event_id = $1 and (o.event_id, o.tenant_id) = (p.event_id, p.tenant_id) returning o.saga""",
            office.key(name).id,
            saga,
        )
    return found


@pytest.mark.parametrize("saga", ['{"state": "teleported"}', "{}", "[]", '"\\u0000"'])
async def test_saga_that_nobody_can_read_keeps_no_other_from_being_claimed(
    postgres_office: Office, pool: Pool, saga: str
) -> None:
    office, signals = postgres_office, RememberedSignals()
    office.store = PostgresPayments(pool, signals)
    names = [f"good {saga}", f"bad {saga}"]
    await office.accept(*names)
    kept = await spoiled(office, pool, names[1], saga)
    try:
        keys = [office.key(name) for name in names]
        assert [each.key for each in await office.claim()] == keys[:1]
        assert await office.claim() == [], "it is left to its lease"
        assert [each.key for each in await office.store.load(keys)] == keys[:1]
        told = [facts["payment"] for name, facts in signals.emitted if name == "payment.unreadable"]
        assert told == [keys[1].id] * 2
    finally:
        assert await spoiled(office, pool, names[1], kept or "")
