"""Providers: one in memory and one over HTTP keep the same promises; and what only a network can do."""

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest

from ledger.adapters.memory.provider import Act, MemoryProvider
from ledger.adapters.provider.http import HttpProvider, open_provider
from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.system import SystemClock
from ledger.application.breaker import BreakerRules
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
from tests.builders import HandClock
from tests.fakes import RememberedSignals
from tests.provider import Simulator, charge, refund

PATIENT = BreakerRules(calls_min=10_000)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One provider for all tests here; each gives it a script, and has a tenant of its own."""
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book.db").start()
    yield simulator
    simulator.stop()


@pytest.fixture
def tenant() -> str:
    return f"t{next(_numbers)}"


class Opener:
    """Opens providers over HTTP, and closes them at the end."""

    def __init__(self, simulator: Simulator, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self.signals = RememberedSignals()
        self._stack = stack

    async def __call__(self, rules: ProviderRules | None = None, **changes: Any) -> HttpProvider:
        rules = rules or self.simulator.rules(**{"breaker": PATIENT, **changes})
        opened = open_provider(rules, SystemClock(), time.monotonic, self.signals)
        return await self._stack.enter_async_context(opened)

    def answers(self) -> list[str]:
        return [facts["answer"] for name, facts in self.signals.emitted if name == "provider.called"]

    def breaker(self) -> list[str]:
        return [facts["after"] for name, facts in self.signals.emitted if name == "provider.breaker_changed"]


@pytest.fixture
async def opened(simulator: Simulator) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:
        yield Opener(simulator, stack)


# The suite that both pass


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
    assert await bench.provider.status(f"{tenant}-a") == answer
    assert await bench.booked(tenant) == [(f"{tenant}-a", "accepted", 1250)]


async def test_a_key_moves_money_once_however_often_it_is_asked(bench: Bench, tenant: str) -> None:
    await bench.do(do="accept")
    asked = [bench.provider.charge(charge(f"{tenant}-a", tenant)) for _ in range(20)]
    assert len(set(await asyncio.gather(*asked))) == 1
    assert await bench.booked(tenant) == [(f"{tenant}-a", "accepted", 1250)]


async def test_a_key_with_another_content_moves_nothing(bench: Bench, tenant: str) -> None:
    await bench.do(do="accept")
    await bench.provider.charge(charge(f"{tenant}-a", tenant))
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant, amount=99))
    assert isinstance(answer, Unknown)
    assert await bench.booked(tenant) == [(f"{tenant}-a", "accepted", 1250)]


async def test_a_decline_stands(bench: Bench, tenant: str) -> None:
    await bench.do(do="decline", reason="card_expired")
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    await bench.do(do="accept")
    again = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    assert answer == again == await bench.provider.status(f"{tenant}-a") == Declined("card_expired")


async def test_what_was_never_asked_for_is_not_found(bench: Bench, tenant: str) -> None:
    assert await bench.provider.status(f"{tenant}-a") == NotFound()


@pytest.mark.parametrize("booked", [True, False])
async def test_what_is_unknown_can_be_asked_for(bench: Bench, tenant: str, booked: bool) -> None:
    await bench.do(do="error", booked=booked, times=1)
    answer = await bench.provider.charge(charge(f"{tenant}-a", tenant))
    found = await bench.provider.status(f"{tenant}-a")
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
    assert await bench.provider.status(f"{tenant}-a") == Pending()


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


# What only a network can do


@pytest.mark.parametrize(
    ("rule", "kind", "then"),
    [
        ({"do": "error", "code": 500}, "unknown", "not_found"),
        ({"do": "error", "code": 502, "booked": True}, "unknown", "accepted"),
        ({"do": "error", "code": 400}, "unknown", "not_found"),
        ({"do": "error", "code": 404}, "unknown", "not_found"),
        ({"do": "error", "code": 503}, "unknown", "not_found"),
        ({"do": "error", "code": 403}, "retry_later", "not_found"),
        ({"do": "throttle"}, "retry_later", "not_found"),
        ({"do": "throttle", "retry_after_s": 60, "retry_after_date": True}, "retry_later", "not_found"),
        ({"do": "unavailable", "retry_after_s": 2}, "retry_later", "not_found"),
        ({"do": "reset"}, "unknown", "not_found"),
        ({"do": "reset", "booked": True}, "unknown", "accepted"),
        ({"do": "hang"}, "unknown", "not_found"),
        ({"do": "hang", "booked": True}, "unknown", "accepted"),
        ({"do": "accept", "delay_s": 5}, "unknown", "accepted"),
        ({"do": "accept", "delay_s": 0.05}, "accepted", "accepted"),
        ({"do": "redirect"}, "unknown", "not_found"),
        ({"do": "redirect", "booked": True}, "unknown", "accepted"),
        ({"do": "refuse"}, "declined", "not_found"),
        *(
            ({"do": "malformed", "form": form, "booked": True}, "unknown", "accepted")
            for form in (
                *(
                    "empty",
                    "text",
                    "list",
                    "deep",
                    "other_key",
                    "other_amount",
                    "no_reference",
                    "cut",
                    "huge",
                ),
            )
        ),
    ],
    ids=lambda given: "-".join(map(str, given.values())) if isinstance(given, dict) else None,
)
async def test_each_behaviour_has_its_answer(
    opened: Opener, tenant: str, rule: dict[str, Any], kind: str, then: str
) -> None:
    await opened.simulator.follow(rule)
    provider = await opened(total_timeout_s=0.4)
    answer = await provider.charge(charge(f"{tenant}-a", tenant))
    assert (kind_of(answer), kind_of(await provider.status(f"{tenant}-a"))) == (kind, then)
    assert opened.answers() == [kind, then]


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"do": "error"}, "unknown"),
        ({"do": "hang"}, "unknown"),
        ({"do": "reset"}, "unknown"),
        ({"do": "malformed", "form": "other_key"}, "unknown"),
        ({"do": "malformed", "form": "text"}, "unknown"),
        ({"do": "redirect"}, "unknown"),
        ({"do": "pend"}, "pending"),
        ({"do": "unavailable", "retry_after_s": 1}, "retry_later"),
    ],
    ids=lambda given: "-".join(map(str, given.values())) if isinstance(given, dict) else None,
)
async def test_a_status_that_fails_tells_nothing(
    opened: Opener, tenant: str, rule: dict[str, Any], kind: str
) -> None:
    await opened.simulator.follow({**rule, "on": ["status"]})
    provider = await opened(total_timeout_s=0.3)
    await provider.charge(charge(f"{tenant}-a", tenant))
    assert kind_of(await provider.status(f"{tenant}-a")) == kind


async def test_retry_after_is_handed_on(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "unavailable", "retry_after_s": 60, "retry_after_date": True})
    provider = await opened()
    answer = await provider.charge(charge(f"{tenant}-a", tenant))
    assert isinstance(answer, RetryLater)
    assert answer.after_s is not None
    assert 57 < answer.after_s <= 61


async def test_a_refused_connection_did_nothing(opened: Opener, tenant: str, unused_port: int) -> None:
    provider = await opened(url=f"http://127.0.0.1:{unused_port}")
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"


async def test_tls_is_verified(opened: Opener, tenant: str) -> None:
    provider = await opened(url=opened.simulator.url.replace("http", "https"))
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"


async def test_a_name_that_leads_into_our_own_network_is_not_called(opened: Opener, tenant: str) -> None:
    url = f"http://localhost:{opened.simulator.port}"
    provider = await opened(url=url, hosts=["localhost"], networks=())
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"
    assert await opened.simulator.lines(tenant) == []


async def test_a_name_is_called_where_its_network_is_named(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider = await opened(url=f"http://localhost:{opened.simulator.port}", hosts=["localhost"])
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "accepted"


async def test_a_wrong_secret_is_told_and_moves_nothing(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider = await opened(secret=b"another secret of tests")
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"
    assert ("provider.refused_us", {"provider": "simulated", "code": 401}) in opened.signals.emitted
    assert await opened.simulator.lines(tenant) == []


async def test_a_clock_that_is_off_is_not_believed(simulator: Simulator, tenant: str) -> None:
    await simulator.follow()
    opening = open_provider(simulator.rules(), HandClock(), time.monotonic, RememberedSignals())
    async with opening as provider:
        assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"


async def test_secrets_and_bodies_are_in_no_signal(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider = await opened()
    await provider.charge(charge(f"{tenant}-a", tenant, account="customer:private"))
    (facts,) = [facts for _, facts in opened.signals.emitted]
    assert facts.keys() == {"provider", "call", "answer", "seconds"}


# Bulkhead and breaker


async def test_a_provider_that_hangs_holds_up_no_other(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "hang", "account": "slow"})
    hanging = await opened(slots=3, slot_wait_s=0.05, total_timeout_s=30.0)
    other = await opened()
    stuck = [
        asyncio.create_task(hanging.charge(charge(f"{tenant}-{n}", tenant, account="slow"))) for n in range(3)
    ]
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    answer = await hanging.charge(charge(f"{tenant}-x", tenant))
    assert answer == RetryLater("no slot for 0.05 s")
    assert kind_of(await other.charge(charge(f"{tenant}-y", tenant))) == "accepted"
    assert time.monotonic() - begun < 1.0
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    assert kind_of(await hanging.charge(charge(f"{tenant}-x", tenant))) == "accepted", "slots are given back"


async def test_the_breaker_opens_in_an_outage_and_closes_after_it(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "error", "until_s": 1.0})
    rules = BreakerRules(calls_min=5, window_s=5.0, open_s=0.2)
    provider = await opened(breaker=rules)
    begun, calls = time.monotonic(), 0
    while opened.answers()[-1:] != ["accepted"]:
        calls += 1
        await provider.charge(charge(f"{tenant}-{calls}", tenant))
        await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 10
    assert opened.breaker()[:2] == ["open", "half_open"]
    assert opened.breaker()[-1] == provider.state == "closed"
    made = (await opened.simulator.book())["calls"]["charge error"]
    assert opened.answers().count("retry_later") > 20, "while it is open, nothing is called"
    assert made < calls / 2
    assert len(await opened.simulator.lines(tenant)) == 1


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ({"do": "decline"}, "closed"),
        ({"do": "throttle"}, "closed"),
        ({"do": "error", "code": 403}, "closed"),
        ({"do": "pend"}, "closed"),
        ({"do": "accept", "delay_s": 0.03}, "open"),
        ({"do": "unavailable", "retry_after_s": 1}, "open"),
        ({"do": "reset"}, "open"),
        ({"do": "malformed", "form": "text"}, "open"),
        ({"do": "hang"}, "open"),
    ],
    ids=lambda given: "-".join(map(str, given.values())) if isinstance(given, dict) else None,
)
async def test_what_the_breaker_takes_for_bad(
    opened: Opener, tenant: str, rule: dict[str, Any], state: str
) -> None:
    await opened.simulator.follow(rule)
    rules = BreakerRules(calls_min=4, slow_s=0.03, open_s=60)
    rules = rules if "delay_s" in rule else replace(rules, slow_s=float("inf"))
    provider = await opened(breaker=rules, total_timeout_s=0.1 if rule["do"] == "hang" else 5.0)
    await asyncio.gather(*(provider.charge(charge(f"{tenant}-{n}", tenant)) for n in range(4)))
    assert provider.state == state


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
