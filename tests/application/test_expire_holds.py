"""Holds past their time are asked for once, under ids that nobody can know beforehand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from ledger.application.expire_holds import ASK_AGAIN_AFTER, ExpiredHold, ExpireHolds
from ledger.contract.decode import decode_event
from ledger.domain.commands import VoidHold

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOLDS = [
    ExpiredHold("acme", f"019a9e0c-8a11-7c3e-9a55-00000000000{number}", "customer:ann", NOON)
    for number in (1, 2)
]


class HandClock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


class StandingHolds:
    async def expired(self, now: datetime, limit: int) -> Sequence[ExpiredHold]:
        return HOLDS[:limit]


def expiry() -> tuple[ExpireHolds, HandClock]:
    clock, numbers = HandClock(), count()
    return ExpireHolds(StandingHolds(), clock, lambda: f"019a9e0c-8a11-7c3e-9a55-{next(numbers):012x}"), clock


async def test_each_expired_hold_is_voided_under_its_account() -> None:
    expire, _ = expiry()
    messages = await expire()
    assert {message.key for message in messages} == {b"acme/customer:ann"}
    commands = [decode_event(message.value).command for message in messages]
    assert commands == [VoidHold(hold.id) for hold in HOLDS]


async def test_nothing_is_asked_twice_at_once() -> None:
    expire, clock = expiry()
    await expire()
    clock.time += ASK_AGAIN_AFTER - timedelta(seconds=1)
    assert await expire() == []


async def test_what_still_stands_is_asked_for_again_with_another_id() -> None:
    expire, clock = expiry()
    first = await expire()
    clock.time += ASK_AGAIN_AFTER
    again = await expire()
    assert len(again) == len(first)
    assert not {message.value for message in first} & {message.value for message in again}
