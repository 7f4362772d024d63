"""A provider in memory and one over HTTP keep the same promises."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from ledger.adapters.memory.provider import Act, MemoryProvider
from ledger.application.providers import (
    Accepted,
    Declined,
    NotFound,
    PaymentProvider,
    Pending,
    RetryLater,
    Unknown,
    kind_of,
)
from tests.ports.providers.conftest import Opener
from tests.provider import Simulator, charge, refund


class Bench(Protocol):
    """A provider, how it is told what to do, and how its book is read."""

    provider: PaymentProvider

    async def do(self, **rule: Any) -> None:
        """Treat calls so: by the members of a rule of the simulator."""
        ...

    async def booked(self, tenant: str) -> list[tuple[str, str, int]]:
        """Give key, state and amount of each line, in order."""
        ...


@dataclass
class HttpBench:
    provider: PaymentProvider
    simulator: Simulator

    async def do(self, **rule: Any) -> None:
        await self.simulator.follow(rule)

    async def booked(self, tenant: str) -> list[tuple[str, str, int]]:
        lines = await self.simulator.lines(tenant)
        return [(line["key"], line["state"], line["amount"]) for line in lines]


class MemoryBench:
    def __init__(self) -> None:
        self._provider = MemoryProvider()
        self.provider: PaymentProvider = self._provider

    async def do(self, **rule: Any) -> None:
        act = _act(**rule)
        times = rule.get("times", 10**9)
        self._provider.script = lambda request, asked: act if asked < times else Act()

    async def booked(self, tenant: str) -> list[tuple[str, str, int]]:
        return [
            (key, kind_of(line.verdict), line.request.amount)
            for key, line in self._provider.lines.items()
            if line.request.tenant == tenant
        ]


def _act(*, do: str, booked: bool = False, reason: str = "declined", **more: Any) -> Act:
    """Say in the words of the provider in memory what a rule of the simulator says."""
    acts = {
        "accept": Act(),
        "decline": Act(declines=reason),
        "refuse": Act(books=False, answer=Declined(reason)),
        "pend": Act(pends=True),
        "error": Act(books=booked, answer=Unknown("500")),
        "throttle": Act(books=False, answer=RetryLater("429", more.get("retry_after_s"))),
    }
    return acts[do]


@pytest.fixture(params=["memory", "http"])
async def bench(request: pytest.FixtureRequest, simulator: Simulator, opened: Opener) -> Bench:
    """A provider in memory, and then the same over HTTP."""
    return MemoryBench() if request.param == "memory" else HttpBench(await opened(), simulator)


async def test_a_charge_is_accepted_under_a_reference(bench: Bench, tenant: str) -> None:
    await bench.do(do="accept")
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert isinstance(answer, Accepted)
    assert await bench.provider.status(charge(f"{tenant}-a", tenant)) == answer
    assert await bench.booked(tenant) == [(f"{tenant}-a", "accepted", 1250)]


async def test_a_key_moves_money_once_however_often_it_is_asked(bench: Bench, tenant: str) -> None:
    await bench.do(do="accept")
    asked = [bench.provider.charge(charge(f"{tenant}-a", tenant)) for _ in range(20)]
    assert len(set(await asyncio.gather(*asked))) == 1
    assert await bench.booked(tenant) == [(f"{tenant}-a", "accepted", 1250)]


@pytest.mark.parametrize("change", [{"amount": 99}, {"account": "customer:bob"}])
async def test_a_key_with_another_content_moves_nothing(
    bench: Bench, tenant: str, change: dict[str, Any]
) -> None:
    await bench.do(do="accept")
    await bench.provider.charge(charge(f"{tenant}-a", tenant))
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant, **change))
    assert isinstance(answer, Unknown)
    assert await bench.booked(tenant) == [(f"{tenant}-a", "accepted", 1250)]


async def test_a_decline_stands(bench: Bench, tenant: str) -> None:
    await bench.do(do="decline", reason="card_expired")
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    await bench.do(do="accept")
    again = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert (
        answer
        == again
        == await bench.provider.status(charge(f"{tenant}-a", tenant))
        == Declined("card_expired")
    )


async def test_what_was_never_asked_for_is_not_found(bench: Bench, tenant: str) -> None:
    assert await bench.provider.status(charge(f"{tenant}-a", tenant)) == NotFound()


@pytest.mark.parametrize("booked", [True, False])
async def test_what_is_unknown_can_be_asked_for(bench: Bench, tenant: str, booked: bool) -> None:
    await bench.do(do="error", booked=booked, times=1)
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    found = await bench.provider.status(charge(f"{tenant}-a", tenant))
    again = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert (kind_of(answer), kind_of(found)) == ("unknown", "accepted" if booked else "not_found")
    assert kind_of(again) == "accepted"
    assert len(await bench.booked(tenant)) == 1


async def test_what_is_put_off_did_not_happen(bench: Bench, tenant: str) -> None:
    await bench.do(do="throttle", retry_after_s=7, times=1)
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert isinstance(answer, RetryLater)
    assert answer.after_s == 7.0
    assert await bench.booked(tenant) == []


async def test_an_undecided_charge_is_unknown_and_its_status_pending(bench: Bench, tenant: str) -> None:
    await bench.do(do="pend", pend_s=600)
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert isinstance(answer, Unknown)
    assert await bench.provider.status(charge(f"{tenant}-a", tenant)) == Pending()


async def test_no_more_is_refunded_than_was_charged(bench: Bench, tenant: str) -> None:
    await bench.do(do="accept")
    charged = await bench.provider.charge(charge(f"{tenant}-a", tenant, amount=1000))
    assert isinstance(charged, Accepted)
    answers = [
        await bench.provider.refund(refund(f"{tenant}-{amount}", charged.reference, tenant, amount))
        for amount in (600, 500, 400)
    ]
    assert [kind_of(each) for each in answers] == ["accepted", "declined", "accepted"]
    assert answers[1] == Declined("exceeds_charge")


async def test_only_a_charge_can_be_refunded(bench: Bench, tenant: str) -> None:
    await bench.do(do="accept")
    answer = await bench.provider.refund(refund(f"{tenant}-a", "ch_nothing", tenant))
    assert answer == Declined("charge_not_found")


async def test_a_refund_that_is_refused_for_a_while_goes_through_under_its_key(
    bench: Bench, tenant: str
) -> None:
    await bench.do(do="accept")
    charged = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert isinstance(charged, Accepted)
    await bench.do(do="refuse", times=3, reason="not_now")
    asked = refund(f"{tenant}-b", charged.reference, tenant)
    answers = [kind_of(await bench.provider.refund(asked)) for _ in range(4)]
    assert answers == ["declined"] * 3 + ["accepted"]
