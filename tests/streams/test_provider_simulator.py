"""The provider simulator in a process of its own: its book, its webhooks, and what it refuses."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ledger.adapters.provider.http import HttpProvider, open_provider
from ledger.adapters.system import SystemClock
from ledger.application.breaker import BreakerRules
from ledger.application.provider_messages import Webhook, decode_webhook
from ledger.application.providers import Accepted, Declined, kind_of
from ledger.contract.signature import sign, verify_signature
from ledger.observability.signals import Signals
from tests.builders import event_id
from tests.provider import SECRET, Simulator, charge, refund


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book.db").start()
    yield simulator
    assert simulator.stop() == 0


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Simulator]:
    """One that a test may kill."""
    simulator = Simulator(tmp_path / "book.db").start()
    yield simulator
    simulator.stop(signal.SIGKILL)


def calling(simulator: Simulator, **changes: Any) -> Any:
    rules = simulator.rules(breaker=BreakerRules(calls_min=10_000), **{"slot_wait_s": 5.0, **changes})
    return open_provider(rules, SystemClock(), time.monotonic, Signals())


@pytest.fixture
async def provider(simulator: Simulator) -> AsyncIterator[HttpProvider]:
    await simulator.follow()
    async with calling(simulator) as provider:
        yield provider


async def eventually(happens: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 10
    while not await happens():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


# The book


async def test_a_kill_loses_nothing_that_was_told_and_moves_nothing_twice(mortal: Simulator) -> None:
    accepted: set[str] = set()

    async def pay(provider: HttpProvider, key: str) -> None:
        if isinstance(await provider.charge(charge(key)), Accepted):
            accepted.add(key)

    async with calling(mortal, slots=64) as provider:
        asked = [asyncio.create_task(pay(provider, f"k{number}")) for number in range(2000)]

        async def many() -> bool:
            return len(accepted) > 300

        await eventually(many)
        mortal.stop(signal.SIGKILL)
        await asyncio.gather(*asked)
    mortal.start()
    booked = [line["key"] for line in await mortal.lines("acme")]
    assert accepted <= set(booked)
    assert 300 < len(booked) == len(set(booked)) < 2000
    async with calling(mortal) as provider:
        again = await asyncio.gather(*(provider.charge(charge(key)) for key in booked[:100]))
    assert {kind_of(answer) for answer in again} == {"accepted"}
    assert len(await mortal.lines("acme")) == len(booked)


async def test_refunds_and_the_script_outlive_a_kill(mortal: Simulator) -> None:
    await mortal.follow({"do": "decline", "on": ["charge"], "account": "poor", "reason": "poor"}, seed=5)
    async with calling(mortal) as provider:
        charged = await provider.charge(charge("a"))
        await provider.refund(refund("b", charged.reference, amount=1000))
    mortal.stop(signal.SIGKILL)
    mortal.start()
    async with calling(mortal) as provider:
        assert await provider.refund(refund("c", charged.reference, amount=251)) == Declined("exceeds_charge")
        assert await provider.charge(charge("d", account="poor:1")) == Declined("poor")


async def test_the_book_is_told_as_totals_and_names_payments_that_were_moved_twice(
    simulator: Simulator, provider: HttpProvider
) -> None:
    charged = await provider.charge(charge("t1", "totals", 700))
    assert isinstance(charged, Accepted)
    await provider.charge(charge("t2", "totals", 300, payment=event_id("payment-t1")))
    await provider.refund(refund("t3", charged.reference, "totals", 200))
    await provider.refund(refund("t4", charged.reference, "totals", 501))
    await simulator.follow({"do": "pend", "pend_s": 600})
    await provider.charge(charge("t5", "totals", 50))
    book = await simulator.book()
    totals = [
        (row["kind"], row["state"], row["count"], row["amount"])
        for row in book["totals"]
        if row["tenant"] == "totals"
    ]
    assert totals == [
        ("charge", "accepted", 2, 1000),
        ("charge", "pending", 1, 50),
        ("refund", "accepted", 1, 200),
        ("refund", "declined", 1, 501),
    ]
    assert {"kind": "charge", "tenant": "totals", "payment": event_id("payment-t1"), "count": 2} in book[
        "twice"
    ]


async def test_totals_may_be_more_than_64_bits_hold(simulator: Simulator, provider: HttpProvider) -> None:
    for number in range(3):
        await provider.charge(charge(f"huge{number}", "huge", 2**63 - 1))
    totals = (await simulator.book())["totals"]
    assert [row["amount"] for row in totals if row["tenant"] == "huge"] == [3 * (2**63 - 1)]


async def test_what_pends_is_decided_in_its_time(simulator: Simulator, provider: HttpProvider) -> None:
    await simulator.follow({"do": "pend", "pend_s": 1.0})
    assert kind_of(await provider.charge(charge("pends"))) == "unknown"
    assert kind_of(await provider.status(charge("pends"))) == "pending"

    async def decided() -> bool:
        return kind_of(await provider.status(charge("pends"))) == "accepted"

    await eventually(decided)
    assert kind_of(await provider.charge(charge("pends"))) == "accepted"


async def test_a_charge_can_arrive_after_its_status_was_not_found(
    simulator: Simulator, provider: HttpProvider
) -> None:
    await simulator.follow({"do": "hang", "booked": True, "late_s": 1.0, "times": 1})
    async with calling(simulator, total_timeout_s=0.1) as hasty:
        assert kind_of(await hasty.charge(charge("late"))) == "unknown"
    assert kind_of(await provider.status(charge("late"))) == "not_found"

    async def arrived() -> bool:
        return kind_of(await provider.status(charge("late"))) == "accepted"

    await eventually(arrived)


async def test_two_that_arrive_late_under_one_key_are_one(
    simulator: Simulator, provider: HttpProvider
) -> None:
    await simulator.follow({"do": "hang", "booked": True, "late_s": 0.2, "times": 2})
    async with calling(simulator, total_timeout_s=0.05) as hasty:
        await asyncio.gather(*(hasty.charge(charge("both", "late")) for _ in range(2)))

    async def arrived() -> bool:
        return kind_of(await provider.status(charge("both", "late"))) == "accepted"

    await eventually(arrived)
    assert kind_of(await provider.charge(charge("both", "late"))) == "accepted"
    assert [line["key"] for line in await simulator.lines("late")] == ["both"]


# Webhooks


class Hooks:
    """Takes webhooks, and remembers them in the order in which they came."""

    def __init__(self) -> None:
        self.url = ""
        self.refusing = 0
        self.taken: list[Webhook] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        verify_signature([SECRET], request.headers, body, now_s=time.time())
        if self.refusing:
            self.refusing -= 1
            return web.Response(status=503)
        self.taken.append(decode_webhook(body))
        return web.Response(status=202)

    async def until(self, count: int) -> None:
        async def came() -> bool:
            return len(self.taken) >= count

        await eventually(came)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> "AsyncIterator[Hooks]":
        hooks, app = cls(), web.Application()
        app.router.add_post("/hooks", hooks.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            hooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
            yield hooks
        finally:
            await runner.cleanup()


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with Hooks.listening() as hooks:
        yield hooks


async def test_an_answer_comes_twice_and_its_webhooks_are_copies(
    simulator: Simulator, provider: HttpProvider, hooks: Hooks
) -> None:
    await simulator.follow({"do": "accept", "webhooks": {"copies": 3}}, webhook_url=hooks.url)
    answer = await provider.charge(charge("w1", payment=event_id("p1")))
    await hooks.until(3)
    assert len(set(hooks.taken)) == 1
    first = hooks.taken[0]
    assert (first.idempotency_key, first.payment, first.step, first.answer) == (
        "w1",
        event_id("p1"),
        "charge",
        answer,
    )


async def test_a_webhook_can_come_before_the_answer(
    simulator: Simulator, provider: HttpProvider, hooks: Hooks
) -> None:
    rule = {"do": "decline", "reason": "closed", "webhooks": {"when": "before"}}
    await simulator.follow(rule, webhook_url=hooks.url)
    answer = await provider.charge(charge("w2"))
    assert [each.answer for each in hooks.taken] == [answer] == [Declined("closed")]


async def test_webhooks_come_in_any_order(simulator: Simulator, provider: HttpProvider, hooks: Hooks) -> None:
    await simulator.follow({"do": "accept", "webhooks": {"within_s": 0.3}}, webhook_url=hooks.url)
    keys = [f"o{number}" for number in range(20)]
    for key in keys:
        await provider.charge(charge(key))
    await hooks.until(20)
    came = [each.idempotency_key for each in hooks.taken]
    assert sorted(came) == sorted(keys)
    assert came != keys


async def test_a_webhook_is_told_again_until_it_is_taken(
    simulator: Simulator, provider: HttpProvider, hooks: Hooks
) -> None:
    hooks.refusing = 1
    await simulator.follow({"do": "accept", "webhooks": {}}, webhook_url=hooks.url)
    await provider.charge(charge("w3"))
    await hooks.until(1)


async def test_a_webhook_follows_a_charge_whose_caller_has_gone(simulator: Simulator, hooks: Hooks) -> None:
    rule = {"do": "hang", "booked": True, "late_s": 0.2, "webhooks": {}}
    await simulator.follow(rule, webhook_url=hooks.url)
    async with calling(simulator, total_timeout_s=0.05) as hasty:
        await hasty.charge(charge("w4"))
    await hooks.until(1)
    assert kind_of(hooks.taken[0].answer) == "accepted"


async def test_what_pends_is_told_when_it_is_decided(
    simulator: Simulator, provider: HttpProvider, hooks: Hooks
) -> None:
    await simulator.follow({"do": "pend", "pend_s": 0.2, "webhooks": {}}, webhook_url=hooks.url)
    begun = time.time()
    await provider.charge(charge("w5"))
    await hooks.until(1)
    assert time.time() - begun >= 0.2


# What it refuses


async def sent(
    simulator: Simulator, body: bytes, *, path: str = "/v1/charges", signed: str | None = None, **headers: str
) -> int:
    """Send bytes as they are; gives the status code."""
    signature = sign(SECRET, signed or f"POST {path}", body, now_s=int(time.time()))
    async with (
        aiohttp.ClientSession() as session,
        session.post(simulator.url + path, data=body, headers=signature | headers) as answer,
    ):
        return answer.status


BODY = {"key": "raw", "tenant": "raw", "payment": "p", "amount": 5, "asset": "USD/2", "account": "ann"}


@pytest.mark.parametrize(
    ("body", "more", "code"),
    [
        (json.dumps(BODY).encode(), {}, 200),
        (json.dumps(BODY).encode(), {"signed": "POST /v1/refunds"}, 401),
        (json.dumps(BODY).encode(), {"signed": "webhook"}, 401),
        (json.dumps(BODY).encode(), {"Idempotency-Key": "another"}, 400),
        (json.dumps(BODY).encode(), {"path": "/v1/refunds"}, 400),
        (json.dumps({**BODY, "charge": "ch_1"}).encode(), {}, 400),
        (json.dumps({**BODY, "amount": 0}).encode(), {}, 400),
        (json.dumps({**BODY, "amount": 2**63}).encode(), {}, 400),
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b" " * 300_000, {}, 413),
    ],
)
async def test_a_request_is_signed_and_well_formed(
    simulator: Simulator, provider: HttpProvider, body: bytes, more: dict[str, str], code: int
) -> None:
    assert await sent(simulator, body, **{"Idempotency-Key": "raw", **more}) == code


async def test_a_script_that_makes_no_sense_changes_nothing(simulator: Simulator) -> None:
    await simulator.follow({"do": "error"})
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{simulator.url}/script", json={"rules": [{"do": "dance"}]}) as answer:
            assert answer.status == 400
            assert "dance" in await answer.text()
        async with session.get(f"{simulator.url}/script") as answer:
            assert [rule["do"] for rule in (await answer.json())["rules"]] == ["error"]


async def test_each_active_secret_is_taken(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "book.db", secrets=(b"a secret of tomorrow", SECRET)).start()
    try:
        async with calling(simulator, secret=SECRET) as old, calling(simulator) as new:
            kinds = [kind_of(await each.charge(charge(f"s{n}"))) for n, each in enumerate((old, new))]
    finally:
        simulator.stop()
    assert kinds == ["accepted", "accepted"]


@pytest.mark.parametrize("secrets", ["", "short"])
def test_without_a_secret_it_does_not_start(tmp_path: Path, secrets: str) -> None:
    program = (sys.executable, "-m", "streams.embedded.provider", "--book", str(tmp_path / "book.db"))
    done = subprocess.run(
        program, env={"PROVIDER_SECRETS": secrets}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "16 bytes" in done.stderr


async def test_it_is_ready_when_it_takes_calls(simulator: Simulator) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{simulator.url}/health/ready") as answer:
        assert answer.status == 200
