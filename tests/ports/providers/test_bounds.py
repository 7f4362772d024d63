"""Bulkhead and breaker of a provider."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from ledger.application.breaker import BreakerRules
from ledger.application.providers import (
    RetryLater,
    Unknown,
    kind_of,
)
from tests.ports.providers.conftest import Opener
from tests.provider import charge


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
    assert time.monotonic() - begun < 5.0
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    assert kind_of(await hanging.charge(charge(f"{tenant}-x", tenant))) == "accepted", "slots are given back"


async def test_the_breaker_opens_in_an_outage_and_closes_after_it(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "error", "until_s": 1.0})
    rules = BreakerRules(calls_min=5, window_s=5.0, open_s=0.4)
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
    assert made < calls / 2, "while it is open, nothing is called"
    assert len(await opened.simulator.lines(tenant)) == 1


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ({"do": "decline"}, "closed"),
        ({"do": "throttle"}, "closed"),
        ({"do": "error", "code": 403}, "open"),
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


async def test_a_trial_that_is_cut_by_its_deadline_failed(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "error", "reference": "bad"}, {"do": "hang", "reference": "long"})
    provider = await opened(breaker=BreakerRules(calls_min=2, open_s=0.1))
    for number in range(2):
        await provider.charge(charge(f"{tenant}-{number}", tenant, reference="bad"))
    await asyncio.sleep(0.11)
    trial = asyncio.create_task(provider.charge(charge(f"{tenant}-a", tenant, reference="long")))
    await asyncio.sleep(0.02)
    trial.cancel()
    await asyncio.wait([trial])
    assert opened.breaker() == ["open", "half_open", "open"]
    await asyncio.sleep(0.11)
    assert kind_of(await provider.charge(charge(f"{tenant}-b", tenant))) == "accepted"


async def test_calls_that_are_cut_by_their_deadline_open_the_breaker(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "hang"})
    provider = await opened(breaker=BreakerRules(calls_min=4, open_s=60))
    calls = (provider.charge(charge(f"{tenant}-{number}", tenant)) for number in range(4))
    cut = await asyncio.gather(*(asyncio.wait_for(each, 0.1) for each in calls), return_exceptions=True)
    assert {type(each) for each in cut} == {TimeoutError}
    assert provider.state == "open"


async def test_a_fault_of_ours_is_told_and_opens_the_breaker(
    opened: Opener, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = await opened(breaker=BreakerRules(calls_min=2, open_s=60))

    def broken(*arguments: object, **more: object) -> None:
        raise ValueError("no such port")

    monkeypatch.setattr(provider._caller._session, "request", broken)
    answers = [await provider.charge(charge(f"{tenant}-{number}", tenant)) for number in range(2)]
    assert answers == [Unknown("the call broke: ValueError")] * 2
    assert provider.state == "open"
    told = [facts["fault"] for name, facts in opened.signals.emitted if name == "provider.call_broke"]
    assert told == ["ValueError('no such port')"] * 2
