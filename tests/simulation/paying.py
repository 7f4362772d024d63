"""A payments worker over the simulated servers, providers with their own books, and an operator who decides at last."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka import TopicPartition

from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.memory.provider import Act, MemoryProvider, Request
from ledger.application.advance_payments import AdvancePayments, Pace
from ledger.application.faults import TransientFaultError
from ledger.application.lane_rooms import LaneRooms, Mood
from ledger.application.payment_calls import Heard
from ledger.application.payment_ports import LaneName
from ledger.application.provider_lanes import ProviderLanes
from ledger.application.provider_messages import Step, Webhook
from ledger.application.providers import (
    Answer,
    ChargeRequest,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
)
from ledger.application.receive_webhooks import ReceivedWebhook
from ledger.application.saga_mover import Outside, SagaMover
from ledger.bootstrap.limits import payment_rules_of
from ledger.contract.outgoing import record_key
from ledger.domain.payments.happenings import Decided, Decision
from ledger.domain.payments.saga import State
from streams.agents.advance_payments import DueTimer, HearChunk, count_payments
from streams.agents.hear_webhooks import HearWebhooks
from streams.patience import Patience
from streams.payment_log import SharedLog
from streams.transport.lanes import Handler
from tests.simulation.workers import Parts
from tests.simulation.world import Clock, Running, World

CALLS_MAX = 4
HANGS_S = 60.0
OPERATOR_LOOKS_S = 0.5
LATE_S_MAX = 15.0
"""Longer than it takes until "not found" is believed."""


class Bank:
    """The provider of all tenants, with a book of its own, on a network with faults of its own."""

    def __init__(self, world: World) -> None:
        self.book = MemoryProvider(script=self._script)
        self.faults: deque[str] = deque()
        self._world = world

    def _script(self, request: Request, asked: int) -> Act:
        # What it declines it declines for ever, by the key: chance is not asked twice.
        declines = isinstance(request, ChargeRequest) and request.amount % 7 == 0
        return Act(declines="no_funds" if declines else None)

    async def charge(self, request: ChargeRequest) -> Answer:
        return await self._ask(self.book.charge, request)  # type: ignore[no-any-return]

    async def refund(self, request: RefundRequest) -> Answer:
        return await self._ask(self.book.refund, request)  # type: ignore[no-any-return]

    async def status(self, request: Request) -> StatusAnswer:
        return await self._ask(self.book.status, request)  # type: ignore[no-any-return]

    async def _ask(self, method: Any, request: Request) -> Any:
        mode = self.faults.popleft() if self.faults else ""
        network = self._world.network
        if mode == "hang":
            await asyncio.sleep(HANGS_S)
        if mode == "busy":
            return RetryLater("429", 1.0)
        if mode in ("lost", "hang") or self._world.faults.away["provider"]:
            return Unknown("no connection")
        if mode == "late":
            # It is done, and nobody is told; some time after the caller has given up.
            network.later(self._world.chance.uniform(0.1, LATE_S_MAX), self._do, method, request)
            return Unknown("no answer in time")
        answer = await network.call("provider", method, request)
        if mode == "twice":
            self._tell(request)
            self._tell(request)
        return Unknown("the answer was lost") if mode == "unanswered" else answer

    def _do(self, method: Any, request: Request) -> None:
        self._world.network.serve(method(request))
        self._world.network.later(0.5, self._tell, request)

    def _tell(self, request: Request) -> None:
        """Send a webhook."""
        line = self.book.lines.get(request.idempotency_key)
        if line is None:
            return
        step = Step.CHARGE if isinstance(request, ChargeRequest) else Step.REFUND
        webhook = Webhook(
            id=f"webhook-{request.idempotency_key}",
            idempotency_key=request.idempotency_key,
            payment=request.payment,
            tenant=request.tenant,
            step=step,
            answer=line.verdict,
        )
        world = self._world
        value = msgspec.json.encode(ReceivedWebhook("bank", webhook))
        place = TopicPartition(world.settings.webhooks_topic, len(request.payment) % world.plan.partitions)
        world.broker.write(place, record_key(request.tenant, request.payment), value)


class Providers:
    """The Providers of a worker: one bank."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank

    async def find(self, tenant: str, name: str) -> Any:
        return self._bank if name == "bank" else None

    def mood(self, tenant: str, name: str) -> Mood:
        return Mood.UP

    def slots(self) -> Mapping[LaneName, int]:
        return {}


async def pay_worker(running: Running) -> None:
    """A payments worker, as `streams.advancing` composes it."""
    world, settings = running.world, running.world.settings
    parts = Parts(running, settings.payments_group, settings.outcomes_topic, settings.webhooks_topic)
    store = parts.remote(MemoryPayments(world.server.books))
    log = SharedLog(parts.batches, settings.payments_topic)
    lanes = ProviderLanes(lambda fault: _note(running, fault))
    providers = Providers(world.bank)
    rules = payment_rules_of(settings)
    outside = Outside(parts.database_clock, world.chance.random, lambda _: world.fresh_id())
    advance = AdvancePayments(
        store,
        SagaMover(store, outside, rules, parts.signals),
        providers,
        log,
        lanes,
        LaneRooms(lanes, providers, CALLS_MAX),
        parts.database_clock,
        rules,
        parts.signals,
        Pace(settings.payment_lease_s, settings.payment_claim_max, settings.payments_in_hand_max),
    )
    timer = DueTimer(advance, parts.settings, parts.signals)
    patience = Patience(parts.flow.waiting_for, settings.retry_backoff_max_s)
    handlers: dict[str, Handler] = {
        settings.outcomes_topic: HearChunk(advance, timer, parts.signals, patience),
        settings.webhooks_topic: HearWebhooks(advance, store, parts.signals, patience),
    }
    beside = (timer.run(), count_payments(store, parts.database_clock, parts.signals))
    parts.begin(handlers, *beside)


def _note(running: Running, fault: BaseException) -> None:
    running.world.note(running.name, f"task.failed {fault!r}")
    if isinstance(fault, Exception):
        running.world.found.append(f"S a task of {running.name} failed: {fault!r}")


async def operate(world: World) -> None:
    """Have every payment that waits for an operator tried again, until cancelled: all that it needs is there by now."""
    store = MemoryPayments(world.server.books)
    rules = payment_rules_of(world.settings)
    outside = Outside(Clock(world), world.chance.random, lambda _: world.fresh_id())
    mover = SagaMover(store, outside, rules, Running(world, "operator").signals)
    while True:
        await asyncio.sleep(OPERATOR_LOOKS_S)
        for payment in list(world.server.books.contents.payments.values()):
            if payment.saga.state is State.NEEDS_OPERATOR:
                try:
                    await mover.move(payment, Heard(Decided(Decision.RETRY, "ops", None), "again", by="ops"))
                except TransientFaultError:
                    continue
