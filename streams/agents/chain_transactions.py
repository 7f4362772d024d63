"""The chain agent: outcomes say what was posted, and it gets its links; a sweep finds what no outcome told of."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from ledger.adapters.kafka.records import FetchedRecord
from ledger.application.chain import ChainTransactions
from ledger.application.faults import TransientFaultError
from ledger.config import Settings
from ledger.domain.books import EventKey
from ledger.domain.ids import has_id_form
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals
from streams.patience import Patience
from streams.transport.chunk import Chunk

LOOK_S = 0.5
_POSTED = "event.posted.v1"
_POSTED_BYTES = _POSTED.encode()


class _Data(msgspec.Struct, gc=False):
    transaction: str | None = None


class _Outcome(msgspec.Struct, gc=False):
    type: str
    tenant: str
    data: _Data


_outcomes = msgspec.json.Decoder(_Outcome)


class ChainChunk:
    """Handles one chunk of outcomes; safe to run again over the same records, in whole or in part."""

    def __init__(self, chain: ChainTransactions, signals: Signals, patience: Patience) -> None:
        self._chain = chain
        self._signals = signals
        self._patience = patience

    async def __call__(self, chunk: Chunk) -> None:
        keys = posted_of(chunk.records)
        await self._patience.until_done(lambda: self._chain.follow(keys), self._delayed)
        crash_point("links_written")

    def _delayed(self, fault: TransientFaultError) -> None:
        self._signals.emit("chain.delayed", fault=str(fault))


def posted_of(records: Sequence[FetchedRecord]) -> list[EventKey]:
    """Name the transactions that outcomes say were posted; who follows outcomes for readers tells of malformed ones."""
    keys = []
    for record in records:
        outcome = _read(record.value or b"")
        if outcome is not None and outcome.type == _POSTED:
            transaction = outcome.data.transaction
            if transaction is not None and has_id_form(transaction):
                keys.append((outcome.tenant, transaction))
    return keys


def _read(value: bytes) -> _Outcome | None:
    if _POSTED_BYTES not in value:
        return None
    try:
        return _outcomes.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


class ChainSweep:
    """Catches up at first and then every `chain_sweep_s` seconds, on the one worker that holds partition 0."""

    def __init__(
        self, chain: ChainTransactions, settings: Settings, signals: Signals, is_mine: Callable[[], bool]
    ) -> None:
        self._chain = chain
        self._settings = settings
        self._signals = signals
        self._is_mine = is_mine

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            if self._is_mine() and await self._swept():
                await asyncio.sleep(self._settings.chain_sweep_s)
            else:
                await asyncio.sleep(LOOK_S)

    async def _swept(self) -> bool:
        try:
            await self._chain.catch_up()
        except TransientFaultError as fault:
            self._signals.emit("chain.delayed", fault=str(fault))
            return False
        return True
