"""One suite for every kind of books: sagas are claimed by one, and stored once for each version."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ledger.application.payment_ports import (
    Change,
    LaneRoom,
    Line,
    Room,
    StateCount,
)
from ledger.domain.payments.commands import Charge
from ledger.domain.payments.saga import State, Step
from ledger.domain.payments.steps import Verdict
from tests.builders import NOW, event_id, transfer
from tests.ports.payments import CAPTURING, LEASE, RELEASING, ROOM, SOON, Office, told

# Claims


async def test_what_is_due_is_claimed_by_one(office: Office) -> None:
    await office.accept("p")
    assert [each.key for each in await office.claim()] == [office.key()]
    assert await office.claim() == []


async def test_claim_of_a_dead_worker_ends(office: Office) -> None:
    await office.accept("p")
    await office.claim()
    assert await office.claim(after=LEASE - timedelta(milliseconds=1)) == []
    assert len(await office.claim(after=LEASE)) == 1


async def test_storing_sets_when_it_is_due(office: Office) -> None:
    await office.accept("p")
    [payment] = await office.claim()
    await office.move(payment, next_at=SOON)
    assert await office.claim(after=timedelta(seconds=4.9)) == []
    [again] = await office.claim(after=timedelta(seconds=5))
    assert (again.version, again.saga.next_at) == (2, SOON)


async def test_payment_at_an_end_is_never_due(office: Office) -> None:
    await office.accept("p")
    [payment] = await office.claim()
    await office.move(payment, state=State.RELEASED, step=None, next_at=None)
    assert await office.claim(after=timedelta(days=999)) == []


async def test_longest_due_comes_first(office: Office) -> None:
    for number, payment in enumerate(await office.accept("a", "b", "c")):
        await office.move(payment, next_at=NOW - timedelta(seconds=number))
    assert [each.key for each in await office.claim()] == [office.key(name) for name in "cba"]


async def test_workers_that_claim_at_once_share_the_work(office: Office) -> None:
    names = list(range(40))
    await office.accept(*names, amount=1)
    now = office.bench.clock.now()
    shares = await asyncio.gather(
        *[office.store.claim(now, now + LEASE, ROOM._replace(in_all=7)) for _ in range(12)]
    )
    keys = [each.key for share in shares for each in share if each.key.tenant == office.bench.tenant]
    rest = [each.key for each in await office.claim()]
    assert max(map(len, shares)) <= 7
    assert sorted(keys + rest) == sorted(office.key(name) for name in names)


# Storing


async def test_zombie_is_refused_by_the_version(office: Office) -> None:
    await office.accept("p")
    [zombie] = await office.claim()
    [heir] = await office.claim(after=LEASE)
    assert await office.move(heir, attempts=1) is not None
    assert await office.move(zombie, attempts=7) is None
    assert (await office.read()).saga.attempts == 1
    assert len(await office.reader.timeline(office.key(), 0, 10)) == 2


async def test_of_many_that_store_at_once_one_succeeds(office: Office) -> None:
    [payment] = await office.accept("p")
    stored = await asyncio.gather(*[office.move(payment, attempts=number) for number in range(8)])
    [winner] = [each for each in stored if each is not None]
    assert await office.read() == winner


async def test_call_is_begun_once(office: Office) -> None:
    [payment] = await office.accept("p")
    begun = msgspec.structs.replace(payment.saga, attempts=1, awaiting=Charge("k", 1))
    line = told(begun, attempt=1, begins=True, commands=("charge",))
    [stored] = await office.store.apply([Change(payment, begun, line)])
    assert stored is not None
    again = await office.store.apply([Change(stored, begun, line)])
    assert (again, (await office.read()).version) == ([None], 2)
    assert await office.move(stored, told(begun, attempt=1)) is not None


async def test_changes_of_many_payments_are_told_one_by_one(office: Office) -> None:
    first, second = await office.accept("p", "q")
    await office.move(second, attempts=9)
    moved = [msgspec.structs.replace(each.saga, attempts=1) for each in (first, second)]
    changes = [Change(each, saga, told(saga)) for each, saga in zip((first, second), moved, strict=True)]
    assert [each and each.version for each in await office.store.apply(changes)] == [2, None]
    assert await office.store.apply([]) == []


async def test_lines_come_back_as_they_were_written(office: Office) -> None:
    [payment] = await office.accept("p")
    line = Line(
        at=NOW,
        happening="told_charged",
        verdict=Verdict.CONTRADICTION,
        state=State.NEEDS_OPERATOR,
        commands=("query_charge", "alert_operator"),
        attempt=3,
        begins=True,
        event_id=event_id("c"),
        next_at=SOON,
        detail="žluť, “why”",
        by="ann",
    )
    await office.move(payment, line, state=State.NEEDS_OPERATOR)
    [found] = await office.reader.timeline(office.key(), 1, 10)
    assert (found.number, found.line) == (2, line)


async def test_stored_sagas_come_back_as_they_were(office: Office) -> None:
    [payment] = await office.accept("p")
    facts: dict[str, Any] = {
        "awaiting": Charge("k:1", 4),
        "sent_at": SOON,
        "unknown_since": NOW,
        "reason": "a\x00b",
    }
    stored = await office.move(payment, state=State.CHARGING, **facts)
    assert stored is not None
    assert await office.read() == stored


async def test_what_cannot_be_stored_as_text_is_blanked(postgres_office: Office) -> None:
    [payment] = await postgres_office.accept("p")
    await postgres_office.move(payment, told(payment.saga, detail="a\x00b"))
    [found] = await postgres_office.reader.timeline(postgres_office.key(), 1, 10)
    assert found.line.detail == "a�b"


async def test_payments_that_are_not_at_an_end_are_counted(office: Office) -> None:
    before = {each.state: each.payments for each in await office.store.counts()}
    first, second, _ = await office.accept("a", "b", "c")
    await office.move(first, state=State.RELEASED, next_at=None)
    await office.move(second, **CAPTURING)
    counted = {each.state: each.payments for each in await office.store.counts()}
    assert counted.get(State.CHARGED, 0) - before.get(State.CHARGED, 0) == 1
    assert counted.get(State.FUNDS_HELD, 0) - before.get(State.FUNDS_HELD, 0) == 1
    assert State.RELEASED not in counted


async def test_payments_of_which_a_contradiction_was_told_are_counted(office: Office) -> None:
    def contradicted(counts: Sequence[StateCount]) -> int:
        return sum(each.contradicted for each in counts if each.state is State.NEEDS_OPERATOR)

    before = contradicted(await office.store.counts())
    known, ended, unknown = await office.accept("a", "b", "c")
    await office.move(known, state=State.NEEDS_OPERATOR, contradictions=("charge_declined",))
    await office.move(ended, state=State.RELEASED, next_at=None, contradictions=("charge_declined",))
    await office.move(unknown, state=State.NEEDS_OPERATOR, reason='"contradictions":[')
    assert contradicted(await office.store.counts()) - before == 1


async def test_payments_remember_the_trace_and_the_correlation_of_their_request(office: Office) -> None:
    await office.providers.put(office.bench.tenant, "bank", {})
    marks = {"correlation_id": "order-17", "traceparent": "00-a"}
    funds = transfer("external:bank", "ann", 1000, name="funds", tenant=office.bench.tenant)
    assert (
        await office.bench.answers(funds, msgspec.structs.replace(office.request(), **marks))
        == ["posted"] * 2
    )
    saga = (await office.read()).saga
    assert (saga.correlation_id, saga.traceparent) == ("order-17", "00-a")


async def test_batches_and_sagas_never_deadlock(postgres_office: Office) -> None:
    office = postgres_office
    payments = await office.accept(*range(20), amount=1)
    strangers = [office.closing("void", f"stranger {number}", number) for number in range(20)]

    async def store() -> None:
        """Store all sagas together, in whatever order, again and again."""
        current = list(payments)
        for number in range(1, 16):
            current = list(reversed(current))
            sagas = [msgspec.structs.replace(each.saga, attempts=number) for each in current]
            changes = [Change(each, saga, told(saga)) for each, saga in zip(current, sagas, strict=True)]
            current = [each for each in await office.store.apply(changes) if each is not None]
        assert len(current) == 20

    batches = [office.bench.answers(*part) for part in (strangers[:10], strangers[10:][::-1])]
    await asyncio.gather(store(), *batches)
    assert "batch.delayed" not in office.bench.signals.names()


async def test_of_more_than_the_limit_the_longest_due_are_claimed(office: Office) -> None:
    first, second = await office.accept("a", "b")
    await office.move(first, next_at=NOW - timedelta(days=10))
    await office.move(second, next_at=NOW - timedelta(days=20))
    room = Room(10_000, 0, {(office.bench.tenant, "bank"): LaneRoom(1)})
    claimed = await office.store.claim(NOW, NOW + LEASE, room)
    assert [each.key for each in claimed if each.key.tenant == office.bench.tenant] == [office.key("b")]


# Lanes


async def test_of_each_lane_as_many_are_claimed_as_there_is_room_for(office: Office) -> None:
    for name in "ab":
        await office.providers.put(office.bench.tenant, "other", {})
        await office.accept(name, f"{name}2", f"{name}3", provider={"a": "bank", "b": "other"}[name])
    lanes = {(office.bench.tenant, "bank"): LaneRoom(0), (office.bench.tenant, "other"): LaneRoom(2)}
    assert len(await office.claim(room=ROOM._replace(lanes=lanes))) == 2
    assert [each.terms.provider for each in await office.claim(room=ROOM._replace(lanes=lanes))] == ["other"]
    assert await office.claim(room=ROOM._replace(a_lane=0)) == []
    assert len(await office.claim(room=ROOM._replace(a_lane=2))) == 2
    assert len(await office.claim()) == 1


async def test_what_asks_no_provider_needs_no_room(office: Office) -> None:
    [payment, other] = await office.accept("p", "q")
    await office.move(payment, **CAPTURING | {"next_at": NOW})
    await office.move(other, **RELEASING | {"next_at": NOW})
    lanes = {(office.bench.tenant, "bank"): LaneRoom(0)}
    assert len(await office.claim(room=ROOM._replace(lanes=lanes))) == 2


async def test_only_those_are_claimed_that_were_never_asked_about(office: Office) -> None:
    [_, asked] = await office.accept("new", "asked")
    await office.move(asked, state=State.CHARGING)
    lanes = {(office.bench.tenant, "bank"): LaneRoom(9, only_new=True)}
    [claimed] = await office.claim(room=ROOM._replace(lanes=lanes))
    assert claimed.key == office.key("new")


async def test_what_was_begun_goes_before_what_is_due_for_longer(office: Office) -> None:
    [_, begun, _] = await office.accept("a", "b", "c")
    await office.move(begun, state=State.CHARGING, unknown_since=NOW)
    room = ROOM._replace(lanes={(office.bench.tenant, "bank"): LaneRoom(1)})
    assert [each.key for each in await office.claim(room=room)] == [begun.key]
    assert [each.key for each in await office.claim(room=room)] != [begun.key]


@pytest.mark.parametrize(
    ("facts", "claims"),
    [
        ({}, True),
        ({"state": State.CHARGING, "attempts": 3}, True),
        ({"awaiting": Charge("k:1", 4)}, False),
        ({"unknown_since": NOW}, False),
        ({"step": Step.REFUND}, False),
        ({"next_at": NOW + timedelta(days=1)}, False),
    ],
)
async def test_what_ends_by_itself_needs_no_room(
    office: Office, facts: dict[str, Any], *, claims: bool
) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **facts)
    closed = ROOM._replace(lanes={(office.bench.tenant, "bank"): LaneRoom(0)})
    assert await office.claim(room=closed, after=timedelta(seconds=899)) == []
    assert len(await office.claim(room=closed, after=timedelta(seconds=900))) == claims


async def test_one_that_ends_by_itself_is_claimed_once(office: Office) -> None:
    await office.accept("p")
    assert len(await office.claim(after=timedelta(seconds=900))) == 1
