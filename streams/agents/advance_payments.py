"""The payments agent: outcomes of the topic wake payments that wait for them, a timer those that are due."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from ledger.application.advance_payments import AdvancePayments
from ledger.application.faults import TransientFaultError
from ledger.application.payment_ports import PaymentKey, PaymentStore
from ledger.application.ports import Clock
from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.transport.chunk import Chunk

FULL_S = 0.02
"""How long to wait where as many payments are in hand as may be."""
AWAY_S = 1.0
COUNT_S = 5.0
_STEPS = ("hold.capture.v1", "hold.void.v1")
_REQUEST = "payment.request.v1"


class _Hold(msgspec.Struct, gc=False):
    hold: str


class _Data(msgspec.Struct, gc=False):
    event_type: str = ""
    hold: _Hold | None = None


class _Outcome(msgspec.Struct, gc=False):
    tenant: str
    id: str
    data: _Data


_outcomes = msgspec.json.Decoder(_Outcome)


class DueTimer:
    """Takes payments that are due: now and then, at once after `poke`, and on and on while there are many."""

    def __init__(self, advance: AdvancePayments, settings: Settings, signals: Signals) -> None:
        self._advance = advance
        self._settings = settings
        self._signals = signals
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Something is due right now."""
        self._poked.set()

    async def run(self) -> None:
        """Take until cancelled."""
        while True:
            room = self._settings.payments_in_hand_max - self._advance.in_hand
            if room <= 0:
                await asyncio.sleep(FULL_S)
                continue
            self._poked.clear()
            if not await self._took_all(min(room, self._settings.payment_claim_max)):
                await self._rest()

    async def _took_all(self, limit: int) -> bool:
        """Whether as many were taken as asked for: more may be due."""
        try:
            taken = await self._advance.take_due(limit)
        except TransientFaultError as fault:
            self._signals.emit("payments.not_taken", fault=str(fault))
            await asyncio.sleep(AWAY_S)
            return False
        if taken.begun or taken.put_off:
            self._signals.emit("payments.taken", begun=taken.begun, put_off=taken.put_off)
        return taken.begun + taken.put_off >= limit

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._settings.payment_look_ms / 1000):
                await self._poked.wait()
        except TimeoutError:
            return


class HearChunk:
    """Handles one chunk of outcomes; what it misses, the timer finds."""

    def __init__(self, advance: AdvancePayments, timer: DueTimer, signals: Signals) -> None:
        self._advance = advance
        self._timer = timer
        self._signals = signals

    async def __call__(self, chunk: Chunk) -> None:
        keys, requests = read_outcomes(chunk.records)
        if requests:
            self._timer.poke()
        if not keys:
            return
        try:
            await self._advance.hear(keys)
        except TransientFaultError as fault:
            self._signals.emit("payments.not_heard", payments=len(keys), fault=str(fault))


def read_outcomes(records: Sequence[ConsumerRecord[Any, Any]]) -> tuple[list[PaymentKey], int]:
    """Give the holds that captures and voids were about, each once, and how many requests there were."""
    keys: dict[PaymentKey, None] = {}
    requests = 0
    for record in records:
        value = record.value or b""
        if (
            b"hold.capture.v1" not in value
            and b"hold.void.v1" not in value
            and b"payment.request" not in value
        ):
            continue
        try:
            outcome = _outcomes.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # who follows outcomes for readers tells of it
        requests += outcome.data.event_type == _REQUEST
        if outcome.data.event_type in _STEPS and outcome.data.hold is not None:
            keys[PaymentKey(outcome.tenant, outcome.data.hold.hold)] = None
    return list(keys), requests


async def count_payments(store: PaymentStore, clock: Clock, signals: Signals) -> None:
    """Tell how many payments are under way, and for how long, until cancelled."""
    while True:
        try:
            counts = await store.counts()
        except TransientFaultError as fault:
            signals.emit("payments.not_taken", fault=str(fault))
        else:
            now = clock.now()
            states = {
                each.state.value: (each.payments, (now - each.oldest).total_seconds()) for each in counts
            }
            signals.emit("payments.counted", states=states)
        await asyncio.sleep(COUNT_S)
