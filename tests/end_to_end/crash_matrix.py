"""Payments whose workers die: each named crash point, each time it is reached, each way in which a provider behaves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import orjson

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import new_event_id
from ledger.bootstrap.providers import providers_in
from tests.end_to_end.books import Books, event, transfer
from tests.end_to_end.forking import Forked, Nursery
from tests.provider import SECRET, Simulator

PAYING_POINTS = ("saga_stored", "attempt_begun", "provider_answered", "step_published")
POSTING_POINTS = ("claimed", "before_commit", "committed", "before_publish", "published")
COMMANDS = {"paying": ("worker", "advance-payments"), "posting": ("worker", "post-events")}
AMOUNT, FEE, FUNDS = 250, 10, 10**9
WAIT_S = 120.0
TRIES_MAX = 40
"""So often a point may be reached by one payment."""
RULES = {
    "answer_s": 0.6,
    "outcome_s": 0.6,
    "publish_tries_max": 1000,
    "backoff_s": 0.05,
    "backoff_s_max": 0.3,
    "not_found_grace_s": 0.6,
    "unknown_s_max": 20,
}
RIVAL = "another-tenant"
"""The provider is another tenant, who is paid on an account of its own."""
BEHAVIOURS: dict[str, Sequence[dict[str, Any]]] = {
    "accepts": (),
    "declines": (
        {"do": "decline", "reason": "poor", "on": ["charge"]},
        {"do": "refuse", "reason": "poor", "times": 1, "on": ["refund"]},
    ),
    "pends": ({"do": "pend", "pend_s": 0.3},),
    "errs": ({"do": "error", "code": 502, "times": 1},),
    "errs-booked": ({"do": "error", "code": 502, "times": 1, "booked": True},),
    "resets": ({"do": "reset", "times": 1, "booked": True},),
    "hangs": ({"do": "hang", "times": 1},),
    "hangs-booked": ({"do": "hang", "times": 1, "booked": True},),
    "throttles": ({"do": "throttle", "times": 1, "retry_after_s": 1},),
    "is-away": ({"do": "unavailable", "times": 1, "retry_after_s": 1},),
    "babbles": ({"do": "malformed", "times": 1, "booked": True},),
    "is-late": ({"do": "hang", "times": 1, "booked": True, "late_s": 0.3},),
    "is-slow": ({"do": "accept", "delay_s": 0.25},),
    "goes-elsewhere": ({"do": "redirect", "times": 1, "booked": True},),
    RIVAL: (),
}
STEPS = ("charge", "refund")


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One death: of which worker's which point, while the provider does what at which step."""

    behaviour: str
    step: str
    worker: str
    point: str

    @property
    def account(self) -> str:
        return f"{self.behaviour}-{self.step}:ann"


def cells(workers: Sequence[str] = ("paying", "posting")) -> list[Cell]:
    """Give all of them."""
    points = {"paying": PAYING_POINTS, "posting": POSTING_POINTS}
    return [
        Cell(behaviour, step, worker, point)
        for behaviour in BEHAVIOURS
        for step in STEPS
        for worker in workers
        for point in points[worker]
    ]


def rules() -> list[dict[str, Any]]:
    """Give the script: each behaviour at its own accounts and step."""
    return [
        {**rule, "on": [step], "account": f"{behaviour}-{step}:"}
        for behaviour, found in BEHAVIOURS.items()
        for step in STEPS
        for rule in found
        if step in rule.get("on", STEPS)
    ]


@dataclass(slots=True)
class Lived:
    """What came of payments: how each ended, and where a worker died."""

    ends: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    to_rival: set[str] = field(default_factory=set)
    deaths: Counter[str] = field(default_factory=Counter)


class Lane:
    """A ledger of its own, in which one payment at a time lives through deaths of its workers."""

    def __init__(self, books: Books, nursery: Nursery) -> None:
        self.books = books
        self._nursery = nursery
        self._workers: dict[str, Forked] = {}
        self._doomed: set[str] = set()
        self.lived = Lived()

    async def begin(self, simulator: Simulator) -> None:
        """Give the tenant its provider, and money to every account."""
        await _give_provider(self.books, simulator.url)
        await self._ensure("posting")
        accounts = {each.account for each in cells()}
        agreed = event("account.open.v1", {"account": "transit:acme", "overdraft": FUNDS}, tenant=RIVAL)
        await self.books.send([agreed, *(transfer("external:bank", account, FUNDS) for account in accounts)])
        await self.books.until_handled(len(accounts) + 1)

    async def live(self, cell: Cell) -> int:
        """Let the worker die when it comes to the point for the first time, then for the second …; gives how often."""
        for time in range(1, TRIES_MAX + 1):
            if not await self.live_once(cell, time):
                return time - 1
        raise AssertionError(f"{cell} comes to its point without end")

    async def live_once(self, cell: Cell, time: int) -> bool:
        """Whether the worker came to its point so often, and died; the payment is at an end in any case."""
        crash = f"{cell.point}:{time}"
        dying = await self._replace(cell.worker, crash)
        await self._ensure("posting" if cell.worker == "paying" else "paying")
        payment = await self._request(cell)
        died = await self._until_dead_or_ended(dying, payment)
        if died:
            self.lived.deaths[f"{cell.worker} {crash}"] += 1
            await self._replace(cell.worker)
            await self._until_ended(payment)
        return died

    async def end(self) -> None:
        """Kill its workers."""
        for worker in self._workers.values():
            await worker.kill()

    async def _ensure(self, worker: str) -> None:
        """Have one that lives on: one that was to die at a place may still come to it."""
        if worker not in self._workers or worker in self._doomed:
            await self._replace(worker)

    async def _replace(self, worker: str, crash: str = "") -> Forked:
        """Kill a worker, and start one that is to die at a place."""
        if worker in self._workers:
            await self._workers[worker].kill()
        environment = {**self.books.environment, "LEDGER_CRASH": crash}
        (self._doomed.add if crash else self._doomed.discard)(worker)
        self._workers[worker] = started = self._nursery.start(COMMANDS[worker], environment)
        return started

    async def _request(self, cell: Cell) -> str:
        payment = new_event_id()
        shut = f"shut:{payment}"
        request = {"debit": cell.account, "amount": AMOUNT, "asset": "USD/2", **_whom(cell, shut)}
        if cell.behaviour == RIVAL:
            self.lived.to_rival.add(payment)
        if cell.step == "charge":
            events = [event("payment.request.v1", request, payment)]
        else:
            events = [
                event("account.open.v1", {"account": shut}),
                event("payment.request.v1", request, payment),
                event("account.close.v1", {"account": shut}),
            ]
        declined = (cell.behaviour, cell.step) == ("declines", "charge")
        self.lived.wanted[payment] = (
            "refunded" if cell.step == "refund" else "released" if declined else "settled"
        )
        await self.books.send(events, [cell.account.encode()] * len(events))
        return payment

    async def _until_dead_or_ended(self, dying: Forked, payment: str) -> bool:
        deadline = monotonic() + WAIT_S
        while dying.ended is None:
            if await self._ended(payment):
                return False
            assert monotonic() < deadline, await self._told(payment)
            await asyncio.sleep(0.02)
        assert dying.ended == 137, dying.log
        return True

    async def _until_ended(self, payment: str) -> None:
        deadline = monotonic() + WAIT_S
        while not await self._ended(payment):
            assert monotonic() < deadline, await self._told(payment)
            await asyncio.sleep(0.02)

    async def _ended(self, payment: str) -> bool:
        rows = await self.books.sql("select state, due_at from payments where event_id = $1", payment)
        if not rows or rows[0]["due_at"] is not None:
            return False
        self.lived.ends[payment] = rows[0]["state"]
        return True

    async def _told(self, payment: str) -> str:
        """Say what became of a payment, and what its workers said last."""
        query = (
            "select s.number, s.at - p.created_at as after, s.state, s.happening, s.detail from payment_steps s "
            "join payments p using (event_id, tenant_id) where event_id = $1 order by number desc limit 30"
        )
        steps = [" ".join(map(str, row.values())) for row in await self.books.sql(query, payment)]
        workers = [f"{name}: {each.ended} {each.log[-1500:]}" for name, each in self._workers.items()]
        return "\n".join([payment, *steps, *workers])


def _whom(cell: Cell, shut: str) -> dict[str, Any]:
    """Say who is paid, and the fee; what is to be refunded cannot be captured, to an account that is shut."""
    refunded = cell.step == "refund"
    if cell.behaviour != RIVAL:
        fee, credit, provider = "fees", shut if refunded else "shop", "simulated"
    else:
        fee, credit, provider = shut if refunded else "fees", "receiver", f"ledger:{RIVAL}"
    return {"credit": credit, "provider": provider, "fee": {"account": fee, "amount": FEE}}


async def _give_provider(books: Books, url: str) -> None:
    pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
    try:
        settings = {
            "url": url,
            "secrets": [SECRET.decode()],
            "hosts": ["127.0.0.1"],
            "networks": ["127.0.0.0/8"],
            "plain_http": True,
            "total_timeout_s": 0.5,
        }
        await providers_in(pool, books.settings).put("acme", "simulated", settings)
    finally:
        await pool.close()


@asynccontextmanager
async def lane(
    servers: tuple[str, str], name: str, directory: Path, simulator: Simulator, nursery: Nursery
) -> AsyncIterator[Lane]:
    """Open a lane on Kafka and PostgreSQL."""
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    async with Books.open(*servers, name, directory) as books:
        books.environment["LEDGER_PAYMENT_RULES"] = orjson.dumps(RULES).decode()
        books.environment["LEDGER_PAYMENT_LEASE_S"] = "0.5"
        books.environment["LEDGER_PAYMENT_LOOK_MS"] = "50"
        found = Lane(books, nursery)
        try:
            await found.begin(simulator)
            yield found
        finally:
            await found.end()


async def judge(lane: Lane, simulator: Simulator) -> list[str]:
    """Compare what was wanted, the books and the provider's book; gives what is wrong."""
    lived, faults = lane.lived, []
    faults += [
        f"{payment} is {lived.ends.get(payment)}, not {wanted}"
        for payment, wanted in lived.wanted.items()
        if lived.ends.get(payment) != wanted
    ]
    moved = Counter(
        (line["payment"], line["kind"])
        for line in await simulator.lines("acme")
        if line["state"] == "accepted"
    )
    wanted_moves = {"settled": (1, 0), "released": (0, 0), "refunded": (1, 1)}
    for payment, wanted in lived.wanted.items():
        found = (moved[payment, "charge"], moved[payment, "refund"])
        if found != ((0, 0) if payment in lived.to_rival else wanted_moves[wanted]):
            faults.append(f"{payment} {wanted}: {found} charges and refunds in the provider's book")
    return faults + await _judge_books(lane)


async def _judge_books(lane: Lane) -> list[str]:
    states = Counter(lane.lived.wanted.values())
    balances = await lane.books.balances()
    sent = sum(lane.lived.wanted[each] == "settled" for each in lane.lived.to_rival) * (AMOUNT - FEE)
    accounts = ("shop", "fees", "receiver", f"transit:{RIVAL}", "transit:acme")
    found = tuple(balances.get(account, 0) for account in accounts)
    wanted = (states["settled"] * (AMOUNT - FEE) - sent, states["settled"] * FEE, sent, sent, -sent)
    holds = await lane.books.sql(
        "select coalesce(sum(amount), 0)::bigint as held, coalesce(sum(captured), 0)::bigint as captured,"
        " coalesce(sum(released), 0)::bigint as released from holds"
    )
    sums = (holds[0]["held"], holds[0]["captured"], holds[0]["released"])
    ended = (
        states.total() * AMOUNT,
        states["settled"] * AMOUNT,
        (states.total() - states["settled"]) * AMOUNT,
    )
    violations = await lane.books.violations()
    return [
        *([f"{', '.join(accounts)} have {found}, not {wanted}"] if found != wanted else []),
        *([f"held, captured, released: {sums}, not {ended}"] if sums != ended else []),
        *(f"check {name}: {each}" for name, each in violations.items()),
    ]
