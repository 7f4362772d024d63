"""Books in memory over books in PostgreSQL: they decide as those would, and leave no trace in them."""

from random import Random
from typing import Any

import pytest

from ledger.adapters.memory.overlay import OverlayBooks
from ledger.adapters.postgres.peeking import PostgresPeek
from ledger.adapters.postgres.types import Pool
from ledger.domain.outcome import Outcome
from tests.builders import transfer
from tests.ports.conftest import Bench
from tests.random_events import random_stream


def plain(outcomes: list[Outcome]) -> list[Any]:
    return [(each.kind, each.reason, each.detail, each.entries, each.hold) for each in outcomes]


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_tried_comes_out_as_it_then_does(postgres: Bench, pool: Pool, seed: int) -> None:
    events = random_stream(Random(seed), 160, tenant=postgres.tenant)
    await postgres.post(*events[:60])
    before = await postgres.digest()
    async with PostgresPeek.open(pool) as peek:
        overlay = OverlayBooks(peek)
        tried = [
            each
            for at in range(60, 160, 20)
            for each in await postgres.post(*events[at : at + 20], store=overlay)
        ]
        assert await postgres.digest() == before
        done = [each for at in range(60, 160, 20) for each in await postgres.post(*events[at : at + 20])]
        assert plain(tried) == plain(done)
        changed = {after.key[1:]: after for _, after in overlay.changed()}
    stands = (await postgres.digest())["balances"]
    for key, after in changed.items():
        assert stands[key] == (after.posted_debits, after.posted_credits, after.held, after.version)
    assert {
        key for key in stands if stands[key] != before["balances"].get(key, (0, 0, 0, 0))
    } == changed.keys()


async def test_a_tenant_that_is_new_is_not_made(postgres: Bench, pool: Pool) -> None:
    async with PostgresPeek.open(pool) as peek:
        overlay = OverlayBooks(peek)
        fresh = transfer("external:bank", "ann", 5, tenant="nobody-yet")
        assert [each.kind for each in await postgres.post(fresh, store=overlay)] == ["posted"]
    assert await pool.fetchval("select count(*) from tenants where code = 'nobody-yet'") == 0


async def test_an_event_comes_once_there_too(postgres: Bench, pool: Pool) -> None:
    sent = transfer("external:bank", "ann", 5, tenant=postgres.tenant)
    async with PostgresPeek.open(pool) as peek:
        overlay = OverlayBooks(peek)
        kinds = [each.kind for _ in range(2) for each in await postgres.post(sent, store=overlay)]
    assert kinds == ["posted", "duplicate"]
