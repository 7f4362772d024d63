"""Payments end to end: a provider that misbehaves in every way, workers that die, and books that agree in the end."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from contextlib import AsyncExitStack, closing
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import new_event_id
from ledger.bootstrap.providers import providers_in
from tests.end_to_end import crash_matrix
from tests.end_to_end.books import Books, Worker, event, transfer
from tests.end_to_end.forking import Nursery
from tests.provider import SECRET, Simulator

PAYING = ("worker", "advance-payments")
WAIT_S = 40.0
RULES = {
    "answer_s": 2,
    "outcome_s": 2,
    "backoff_s": 0.05,
    "backoff_s_max": 0.5,
    "not_found_grace_s": 1,
    "unknown_s_max": 5,
}
SOME_DEATHS = [
    *[each for each in crash_matrix.cells() if each.behaviour != crash_matrix.RIVAL][::28],
    crash_matrix.Cell(crash_matrix.RIVAL, "charge", "paying", "attempt_begun"),
    crash_matrix.Cell(crash_matrix.RIVAL, "refund", "paying", "provider_answered"),
]
"""Each point once, each with another behaviour of the provider, and two at which another tenant is paid; all of them:
`make chaos-payments`."""
FAULTS: dict[str, dict[str, Any]] = {
    "declines": {"do": "decline", "reason": "poor"},
    "pends": {"do": "pend", "pend_s": 0.5},
    "errs": {"do": "error", "code": 502, "times": 1},
    "errs-booked": {"do": "error", "code": 502, "times": 1, "booked": True},
    "resets": {"do": "reset", "times": 1, "booked": True},
    "hangs": {"do": "hang", "times": 1},
    "hangs-booked": {"do": "hang", "times": 1, "booked": True},
    "throttles": {"do": "throttle", "times": 1, "retry_after_s": 1},
    "is-away": {"do": "unavailable", "times": 1, "retry_after_s": 1},
    "babbles": {"do": "malformed", "times": 1, "booked": True},
    "is-late": {"do": "hang", "times": 1, "booked": True, "late_s": 0.5},
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book.db").start()
    yield simulator
    simulator.stop()


class Payments:
    """Payments of one tenant, with the provider that charges them."""

    def __init__(self, books: Books, simulator: Simulator) -> None:
        self.books = books
        self.simulator = simulator
        self.posting: Worker | None = None

    async def start_posting(self) -> None:
        """Have events posted."""
        self.posting = self.posting or Worker(self.books)

    async def stop_posting(self) -> None:
        """Kill the worker that posts, so that the books lag behind the log."""
        if self.posting is not None:
            await self.posting.end(signal.SIGKILL)
        self.posting = None

    async def begin(self) -> None:
        """Give the tenant its provider."""
        settings = self.books.settings
        pool = await open_pool(str(settings.postgres_dsn), settings, size=1)
        try:
            providers = providers_in(pool, settings)
            await providers.put(
                "acme",
                "simulated",
                {
                    "url": self.simulator.url,
                    "secrets": [SECRET.decode()],
                    "hosts": ["127.0.0.1"],
                    "networks": ["127.0.0.0/8"],
                    "plain_http": True,
                    "total_timeout_s": 1.0,
                },
            )
        finally:
            await pool.close()

    async def request(self, accounts: Sequence[str], *, fee: int = 10) -> list[str]:
        """Fund accounts and request a payment from each."""
        before = await self.books.handled()
        await self.books.send([transfer("external:bank", account, 1000) for account in accounts])
        await self.books.until_handled(before + len(accounts))
        ids = [new_event_id() for _ in accounts]
        data = {"credit": "shop", "amount": 250, "asset": "USD/2", "provider": "simulated"}
        if fee:
            data["fee"] = {"account": "fees", "amount": fee}
        await self.books.send(
            [
                event("payment.request.v1", {"debit": account, **data}, payment)
                for account, payment in zip(accounts, ids, strict=True)
            ]
        )
        return ids

    async def states(self, ids: Sequence[str]) -> list[str]:
        rows = await self.books.sql(
            "select event_id::text as id, state from payments where event_id = any($1::uuid[])", ids
        )
        found = {row["id"]: row["state"] for row in rows}
        return [found.get(each, "nowhere") for each in ids]

    async def until_ended(self, ids: Sequence[str]) -> list[str]:
        """Wait until every payment is at an end."""
        return await self.until_states(ids, {"settled", "released", "expired", "refunded"})

    async def command(self, *arguments: str) -> Any:
        """Run `ledger payments` to its end; gives what it prints as JSON."""
        async with self.books.worker(arguments=("payments", *arguments, "--json")) as command:
            assert await command.exit_code() == 0, command.log
            return orjson.loads(command.log)

    async def reasons(self, ids: Sequence[str]) -> list[str]:
        """What `ledger payments list` tells of these."""
        listed = await self.command("list", "--all")
        return [each["why"] for each in listed["payments"] if each["payment"].partition("/")[2] in ids]

    async def until_states(self, ids: Sequence[str], wanted: Set[str]) -> list[str]:
        """Wait until every payment is in one of these states."""
        deadline = monotonic() + WAIT_S
        while True:
            states = await self.states(ids)
            if wanted >= set(states):
                return states
            assert monotonic() < deadline, f"{states}: {await self.timelines(ids)}"
            await asyncio.sleep(0.05)

    async def timelines(self, ids: Sequence[str]) -> list[tuple[str, str, str]]:
        rows = await self.books.sql(
            "select state, happening, detail from payment_steps where event_id = any($1::uuid[]) "
            "order by event_id, number",
            ids,
        )
        return [(row["state"], row["happening"], row["detail"]) for row in rows]

    async def check(self, ids: Sequence[str]) -> None:
        """The provider's book is ours: of what settled it has the money, once, and of nothing else."""
        states = dict(zip(ids, await self.states(ids), strict=True))
        lines = [line for line in await self.simulator.lines("acme") if line["payment"] in states]
        charged = {
            line["payment"] for line in lines if (line["kind"], line["state"]) == ("charge", "accepted")
        }
        refunded = {
            line["payment"] for line in lines if (line["kind"], line["state"]) == ("refund", "accepted")
        }
        assert charged - refunded == {each for each, state in states.items() if state == "settled"}
        assert (await self.simulator.book())["twice"] == []
        held = await self.books.sql("select coalesce(sum(held), 0)::bigint as held from balances")
        assert held[0]["held"] == 0


@pytest.fixture(scope="module")
async def payments(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory, simulator: Simulator
) -> AsyncIterator[Payments]:
    async with AsyncExitStack() as stack:
        directory = tmp_path_factory.mktemp("payments")
        books = await stack.enter_async_context(Books.open(kafka, postgres_dsn, "payments", directory))
        books.environment["LEDGER_PAYMENT_RULES"] = orjson.dumps(RULES).decode()
        books.environment["LEDGER_PAYMENT_LEASE_S"] = "2"
        payments = Payments(books, simulator)
        await payments.begin()
        await payments.start_posting()
        yield payments
        await payments.stop_posting()


async def test_whatever_a_provider_does_its_book_is_ours_in_the_end(payments: Payments) -> None:
    await payments.simulator.follow(*({**rule, "account": f"{name}:"} for name, rule in FAULTS.items()))
    names = ["accepts", *FAULTS]
    async with payments.books.worker(arguments=PAYING):
        ids = await payments.request([f"{name}:ann" for name in names])
        states = await payments.until_ended(ids)
    expected = ["released" if name == "declines" else "settled" for name in names]
    assert dict(zip(names, states, strict=True)) == dict(zip(names, expected, strict=True))
    await payments.check(ids)
    balances = await payments.books.balances()
    assert [balances[f"{name}:ann"] for name in ("accepts", "declines")] == [750, 1000]
    assert balances["fees"] == 10 * states.count("settled")
    assert balances["shop"] == 240 * states.count("settled")


async def test_payments_outlive_their_workers_wherever_these_die(
    kafka: str, postgres_dsn: str, tmp_path: Path, simulator: Simulator
) -> None:
    await simulator.follow(*crash_matrix.rules())
    with closing(Nursery(tmp_path)) as nursery:
        async with crash_matrix.lane((kafka, postgres_dsn), "deaths", tmp_path, simulator, nursery) as lane:
            assert all([await lane.live_once(cell, 1) for cell in SOME_DEATHS])
            assert await crash_matrix.judge(lane, simulator) == []


async def test_an_operator_finds_what_is_stuck_and_says_what_is_so(payments: Payments) -> None:
    await payments.simulator.follow({"do": "pend", "pend_s": 600, "account": "stuck:"})
    async with payments.books.worker(arguments=PAYING):
        (stuck,) = await payments.request(["stuck:ann"])
        await payments.until_states([stuck], {"needs_operator"})
        listed = await payments.command("list")
        assert [each["payment"] for each in listed["payments"]] == [f"acme/{stuck}"]
        resolve = (
            "resolve",
            f"acme/{stuck}",
            "--as",
            "charged",
            "--reference",
            "ch_1",
            "--why",
            "they say so",
        )
        assert (await payments.command(*resolve, "--yes"))["state"] == "charged"
        assert await payments.until_ended([stuck]) == ["settled"]
    told = await payments.command("show", f"acme/{stuck}")
    (decided,) = [line for line in told["timeline"] if line["by"] is not None]
    assert (decided["happening"], decided["detail"]) == ("told_charged", "they say so")
    await payments.check([stuck])


async def test_a_webhook_settles_a_payment_whose_answer_never_came(payments: Payments) -> None:
    async with payments.books.worker(arguments=("api",), LEDGER_API_PORT="0") as api:
        deadline = monotonic() + WAIT_S
        while not api.port:
            assert monotonic() < deadline, api.log
            await asyncio.sleep(0.1)
        await payments.simulator.follow(
            {"do": "hang", "booked": True, "account": "told:", "webhooks": {"when": "before", "copies": 2}},
            {"do": "pend", "on": ["status"]},
            webhook_url=f"http://127.0.0.1:{api.port}/v1/providers/simulated/webhooks",
        )
        async with payments.books.worker(arguments=PAYING):
            ids = await payments.request(["told:ann"])
            assert await payments.until_ended(ids) == ["settled"]
    details = [
        detail or "" for _, happening, detail in await payments.timelines(ids) if "charge" in happening
    ]
    assert details[0].startswith("webhook wh_")
    await payments.check(ids)


async def befriend(payments: Payments, rival: str, overdraft: int) -> None:
    """Open accounts of another tenant, who agrees that we may owe so much; and give us money."""
    books = payments.books
    before = await books.handled()
    events = [
        transfer("external:bank", "sender", 1000),
        event("account.open.v1", {"account": "transit:acme", "overdraft": overdraft}, tenant=rival),
        event("account.open.v1", {"account": "shut"}, tenant=rival),
        event("account.close.v1", {"account": "shut"}, tenant=rival),
    ]
    await books.send(events, keys=[b"transit"] * 4)
    await books.until_handled(before + 4)


async def pay(payments: Payments, rival: str, credit: str, amount: int, **more: Any) -> str:
    """Request a payment to another tenant."""
    payment = new_event_id()
    data = {"debit": "sender", "credit": credit, "amount": amount, "asset": "USD/2", **more}
    request = event("payment.request.v1", {**data, "provider": f"ledger:{rival}"}, payment)
    await payments.books.send([request])
    return payment


async def net(payments: Payments, tenant: str) -> dict[str, int]:
    rows = await payments.books.sql(
        "select a.code, b.posted_credits - b.posted_debits as net from balances b "
        "join accounts a using (tenant_id, account_id) join tenants t using (tenant_id) where t.code = $1",
        tenant,
    )
    return {row["code"]: row["net"] for row in rows}


async def test_money_goes_to_another_tenant_by_two_legs_or_not_at_all(payments: Payments) -> None:
    await befriend(payments, "rival", 500)
    async with payments.books.worker(arguments=PAYING):
        fee = {"account": "transit-fees", "amount": 20}
        ids = [await pay(payments, "rival", credit, 300, fee=fee) for credit in ("receiver", "shut")]
        assert await payments.until_ended(ids) == ["settled", "released"]
        too_much = await pay(payments, "rival", "receiver", 221)
        assert await payments.until_ended([too_much]) == ["released"]
    ours, theirs = await net(payments, "acme"), await net(payments, "rival")
    assert (ours["sender"], ours["transit-fees"], ours["transit:rival"]) == (700, 20, 280)
    assert (theirs["transit:acme"], theirs["receiver"]) == (-280, 280)
    assert ("releasing", "charge_declined") in {line[:2] for line in await payments.timelines([too_much])}
    assert await payments.books.violations() == {}


async def test_leg_that_lies_in_the_log_is_waited_for(payments: Payments) -> None:
    await befriend(payments, "laggard", 500)
    payment = await pay(payments, "laggard", "receiver", 300)
    await payments.until_states([payment], {"funds_held"})
    await payments.stop_posting()
    rules = {**RULES, "charge_tries_max": 1, "unknown_s_max": 60}
    environment = {"LEDGER_PAYMENT_RULES": orjson.dumps(rules).decode()}
    async with payments.books.worker(arguments=PAYING, **environment):
        await payments.until_states([payment], {"charging"})
        grace_ends = monotonic() + rules["not_found_grace_s"] + rules["answer_s"] + 1
        while monotonic() < grace_ends:
            assert await payments.states([payment]) == ["charging"], await payments.timelines([payment])
            await asyncio.sleep(0.1)
        await payments.start_posting()
        assert await payments.until_ended([payment]) == ["settled"]
    ours, theirs = await net(payments, "acme"), await net(payments, "laggard")
    assert (ours["transit:laggard"], theirs["transit:acme"], theirs["receiver"]) == (300, -300, 300)
    assert await payments.books.violations() == {}


async def test_a_payment_tells_that_its_provider_is_not_asked_and_goes_on_when_it_is(
    payments: Payments,
) -> None:
    await payments.simulator.follow({"do": "unavailable", "retry_after_s": 0, "account": "down:"})
    async with payments.books.worker(arguments=PAYING):
        ids = await payments.request([f"down:{number}" for number in range(12)])
        deadline = monotonic() + WAIT_S
        while not any("is not asked since" in why for why in await payments.reasons(ids)):
            assert monotonic() < deadline, await payments.timelines(ids)
        await payments.simulator.follow()
        assert set(await payments.until_ended(ids)) == {"settled"}
    await payments.check(ids)
