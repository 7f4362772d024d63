"""Lanes in which payments are due are found, however late, and whatever else is due."""

from datetime import timedelta
from typing import Any

import pytest

from ledger.adapters.postgres import due_lanes
from ledger.adapters.postgres.due_lanes import MARGIN, SWEEP, DueLanes
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.types import Pool
from ledger.application.payment_ports import LaneName, LaneRoom
from ledger.domain.payments.saga import State, Step
from tests.builders import NOW
from tests.ports.payments import ROOM, Office

MOMENT = timedelta(milliseconds=20)


@pytest.fixture
def lanes(postgres_office: Office) -> DueLanes:
    assert isinstance(postgres_office.store, PostgresPayments)
    return postgres_office.store._due


def lane(office: Office, name: str = "bank") -> LaneName:
    return office.bench.tenant, name


async def test_lane_is_known_once_something_is_due_in_it(postgres_office: Office, lanes: DueLanes) -> None:
    [payment] = await postgres_office.accept("p")
    later = NOW + timedelta(seconds=1)
    await postgres_office.move(payment, next_at=later)
    await lanes.look(NOW)
    assert lane(postgres_office) not in lanes.open(ROOM)
    await lanes.look(later)
    assert lanes.open(ROOM)[lane(postgres_office)] == LaneRoom(ROOM.a_lane)


@pytest.mark.parametrize(
    ("since", "found_after"),
    [(MARGIN - MOMENT, timedelta()), (timedelta(days=1), SWEEP)],
    ids=["moment", "day"],
)
async def test_what_is_stored_late_is_found(
    postgres_office: Office, lanes: DueLanes, since: timedelta, found_after: timedelta
) -> None:
    await lanes.look(NOW)
    [payment] = await postgres_office.accept("p")
    await postgres_office.move(payment, next_at=NOW - since)
    if found_after:
        await lanes.look(NOW + found_after - MOMENT)
        assert lane(postgres_office) not in lanes.open(ROOM)
    await lanes.look(NOW + found_after)
    assert lane(postgres_office) in lanes.open(ROOM)


async def test_lane_that_gave_less_than_it_might_is_forgotten(
    postgres_office: Office, lanes: DueLanes
) -> None:
    [payment, _] = await postgres_office.accept("p", "q")
    await postgres_office.claim()
    assert lane(postgres_office) not in lanes.open(ROOM)
    await postgres_office.move(payment, next_at=NOW)
    assert len(await postgres_office.claim()) == 1


@pytest.mark.parametrize("room", [LaneRoom(1), LaneRoom(0), LaneRoom(9, only_new=True)], ids=str)
async def test_lane_that_may_have_more_stays_known(
    postgres_office: Office, lanes: DueLanes, room: LaneRoom
) -> None:
    [_, begun] = await postgres_office.accept("p", "q")
    await postgres_office.move(begun, state=State.CHARGING)
    await postgres_office.claim(room=ROOM._replace(lanes={lane(postgres_office): room}))
    assert lane(postgres_office) in lanes.open(ROOM)


async def test_where_not_every_lane_had_its_turn_none_is_forgotten(
    postgres_office: Office, lanes: DueLanes
) -> None:
    await postgres_office.accept("p")
    await lanes.look(NOW)
    opened = lanes.open(ROOM)
    lanes.taken(opened, 1, [("another", "lane")])
    assert lane(postgres_office) in lanes.open(ROOM)
    lanes.taken(opened, 2, [("another", "lane")])
    assert lane(postgres_office) not in lanes.open(ROOM)


async def test_many_that_are_due_in_one_lane_hide_no_other(
    postgres_office: Office, lanes: DueLanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_lanes, "ROWS", 3)
    monkeypatch.setattr(due_lanes, "PAGES", 1)
    await postgres_office.providers.put(postgres_office.bench.tenant, "other", {})
    for number, payment in enumerate(await postgres_office.accept(*range(20), amount=1)):
        # Some at one moment, some each at its own.
        await postgres_office.move(payment, next_at=NOW - timedelta(days=900, seconds=number // 2))
    [other] = await postgres_office.accept("other", provider="other")
    await postgres_office.move(other, next_at=NOW - timedelta(days=899))
    closed: dict[LaneName, Any] = {lane(postgres_office): LaneRoom(0)}
    found: list[Any] = []
    for number in range(12):
        room = ROOM._replace(lanes=closed)
        found += await postgres_office.claim(room=room, after=number * MOMENT)
    assert [each.terms.provider for each in found] == ["other"]


async def test_clock_that_goes_back_is_followed(postgres_office: Office, lanes: DueLanes) -> None:
    await lanes.look(NOW + timedelta(days=1))
    [payment] = await postgres_office.accept("p")
    await postgres_office.move(payment, next_at=NOW)
    lanes._known.clear()
    await lanes.look(NOW)
    assert lane(postgres_office) in lanes.open(ROOM)


async def test_what_waits_for_its_time_is_not_looked_at(pool: Pool, postgres_office: Office) -> None:
    """Only lanes with something due are named in the claim."""
    [payment, _] = await postgres_office.accept("p", "q")
    await postgres_office.providers.put(postgres_office.bench.tenant, "other", {})
    asked: list[Any] = []
    store = PostgresPayments(pool)
    fetch = store._fetch

    async def spied(statement: str, *arguments: Any) -> list[Any]:
        asked.append((statement, arguments))
        return await fetch(statement, *arguments)

    store._fetch = spied  # type: ignore[method-assign]
    await postgres_office.move(payment, next_at=NOW + timedelta(days=1), step=Step.CAPTURE)
    await store.claim(NOW, NOW + MARGIN, ROOM)
    [given] = [arguments for statement, arguments in asked if statement == "claim_payments"]
    named = list(zip(given[3], given[4], strict=True))
    assert [name for tenant, name in named if tenant == postgres_office.bench.tenant] == ["bank"]
