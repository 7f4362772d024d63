"""The time at which each event was decided, which a replay decides it at again; kept once where it is told twice."""

from datetime import timedelta

from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.adapters.postgres.types import Pool
from ledger.application.post_events import Batch, PostEvents
from ledger.domain.books import Rules
from ledger.domain.replaying import DecideAgain
from tests.builders import NOW, HandClock, event
from tests.fakes import RememberedSignals
from tests.ports.conftest import Bench
from tests.ports.test_concurrency import hold_towards, pay

BACK = timedelta(seconds=-10)


async def test_each_event_has_the_time_of_its_decision(postgres: Bench, pool: Pool) -> None:
    events = [
        pay(postgres, "external:bank", "ann", "paid", 5),
        pay(postgres, "ann", "shop", "too much", 60),
        hold_towards(postgres, "ann"),
        event("account.open.v1", {"account": "new"}, name="opened", tenant=postgres.tenant),
    ]
    posted = await postgres.post(*events)
    assert [each.kind for each in posted] == ["posted", "rejected", "posted", "posted"]
    found = await PostgresPrecedents(pool).of(events)
    assert [found[each.identity].posted_at for each in events] == [NOW] * len(events)


async def test_a_clock_that_was_set_back_is_told_though_the_transaction_is_later(
    postgres: Bench, pool: Pool
) -> None:
    before, after = (pay(postgres, "external:bank", "ann", name) for name in ("before", "after"))
    await postgres.post(before)
    postgres.clock.move(BACK.total_seconds())
    [outcome] = await postgres.post(after)
    assert outcome.posted_at > NOW + BACK
    found = await PostgresPrecedents(pool).of([before, after])
    assert [found[each.identity].posted_at for each in (before, after)] == [NOW, NOW + BACK]


async def test_the_time_of_a_transaction_is_kept_once(postgres: Bench, pool: Pool) -> None:
    paid, refused = pay(postgres, "external:bank", "ann", "paid"), pay(postgres, "ann", "shop", "refused", 9)
    await postgres.post(paid, refused)
    async with pool.acquire() as connection:
        kept = {
            event_id: await connection.fetchval(
                "select posted_at from processed_events where event_id = $1", event_id
            )
            for event_id in (paid.id, refused.id)
        }
    assert kept == {paid.id: None, refused.id: NOW}


async def test_what_is_replayed_keeps_its_times_beside_what_was_there(postgres: Bench, pool: Pool) -> None:
    events = [pay(postgres, "external:bank", "ann", name) for name in ("there", "first", "second")]
    await postgres.post(events[0])
    judge = DecideAgain()
    judge.times = {each.identity: NOW + timedelta(hours=number) for number, each in enumerate(events)}
    again = PostEvents(
        postgres.store, HandClock(NOW + timedelta(days=1)), Rules(), RememberedSignals(), judge=judge
    )
    assert [each.kind for each in await again(Batch(events))] == ["duplicate", "posted", "posted"]
    found = await PostgresPrecedents(pool).of(events)
    assert {key: each.posted_at for key, each in found.items()} == judge.times
