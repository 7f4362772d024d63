"""The payments agent: outcomes of the topic wake payments that wait for them, a timer those that are due."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledger.adapters.kafka.records import FetchedRecord
from ledger.application.advance_payments import AdvancePayments
from ledger.application.faults import TransientFaultError
from ledger.application.payment_ports import EventKey, PaymentKey, PaymentStore
from ledger.application.ports import Clock
from ledger.config import Settings
from ledger.domain.ids import has_id_form
from ledger.observability.signals import Signals
from streams.patience import Patience
from streams.transport.chunk import Chunk

GATHER_S = 0.02
"""So long is between two claims at least, so that what becomes due or free meanwhile shares one."""
AWAY_S = 1.0
COUNT_S = 5.0
_STEPS = ("hold.capture.v1", "hold.void.v1")
_REQUEST = "payment.request.v1"
_KINDS = [kind.encode() for kind in (*_STEPS, _REQUEST)]


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
        self._look_s = settings.payment_look_ms / 1000
        self._signals = signals
        self._poked = asyncio.Event()
        advance.when_due(self.poke)

    def poke(self) -> None:
        """Something is due right now, or may begin at last."""
        self._poked.set()

    async def run(self) -> None:
        """Take until cancelled."""
        while True:
            self._poked.clear()
            if not await self._took_all():
                await self._rest()
            await asyncio.sleep(GATHER_S)

    async def _took_all(self) -> bool:
        """Whether as many were taken as may be at once: more may be due."""
        try:
            taken = await self._advance.take_due()
        except TransientFaultError as fault:
            self._signals.emit("payments.not_taken", fault=str(fault))
            await asyncio.sleep(AWAY_S)
            return False
        if taken.begun or taken.left:
            self._signals.emit("payments.taken", begun=taken.begun, left=taken.left)
        return taken.more

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._look_s):
                await self._poked.wait()
        except TimeoutError:
            return


class HearChunk:
    """Handles one chunk of outcomes; what it misses, the timer finds."""

    def __init__(
        self, advance: AdvancePayments, timer: DueTimer, signals: Signals, patience: Patience
    ) -> None:
        self._advance = advance
        self._timer = timer
        self._signals = signals
        self._patience = patience

    async def __call__(self, chunk: Chunk) -> None:
        heard = read_outcomes(chunk.records)
        if heard.requests:
            self._timer.poke()
        if not heard.holds and not heard.refused:
            return

        def failed(fault: Exception) -> None:
            outcomes = len(heard.holds) + len(heard.refused)
            self._signals.emit("payments.not_heard", payments=outcomes, fault=repr(fault))

        try:
            await self._patience.until_done(lambda: self._advance.hear(heard.holds, heard.refused), failed)
        except Exception as fault:
            # Whatever is wrong with one of them keeps no other from being heard: the timer asks after them all.
            failed(fault)


class HeardOutcomes(NamedTuple):
    """What outcomes may mean to payments."""

    holds: Sequence[PaymentKey]
    """The holds that were captured or voided, each once."""
    refused: Sequence[EventKey]
    """Captures and voids that were refused: their outcomes do not name the hold."""
    requests: int
    """How many payments were requested."""


def read_outcomes(records: Sequence[FetchedRecord]) -> HeardOutcomes:
    """Read what outcomes may mean to payments; who follows outcomes for readers tells of those that are malformed."""
    holds: dict[PaymentKey, None] = {}
    refused: dict[EventKey, None] = {}
    requests = 0
    for record in records:
        outcome = _read(record.value or b"")
        if outcome is None:
            continue
        requests += outcome.data.event_type == _REQUEST
        if outcome.data.event_type in _STEPS:
            hold = outcome.data.hold
            if hold is None and has_id_form(outcome.id):
                refused[EventKey(outcome.tenant, outcome.id)] = None
            elif hold is not None and has_id_form(hold.hold):
                holds[PaymentKey(outcome.tenant, hold.hold)] = None
    return HeardOutcomes(list(holds), list(refused), requests)


def _read(value: bytes) -> _Outcome | None:
    if not any(kind in value for kind in _KINDS):
        return None
    try:
        return _outcomes.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


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
                each.state.value: (each.payments, (now - each.oldest).total_seconds(), each.contradicted)
                for each in counts
            }
            signals.emit("payments.counted", states=states)
        await asyncio.sleep(COUNT_S)
