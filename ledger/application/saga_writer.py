"""Store sagas together: changes that come while a transaction runs share the next one."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from ledger.application.faults import TransientFaultError
from ledger.application.payment_ports import Change, Payment, PaymentKey, PaymentStore

CHANGES_MAX = 500
"""In one transaction."""
GATHER_S = 0.008
"""So long others are waited for where some came while a transaction ran: a transaction costs more than its rows."""


class _Waiting(NamedTuple):
    change: Change
    stored: "asyncio.Future[Payment | None]"


class SagaWriter:
    """One transaction at a time, each with all that waits; a lone change waits for nobody."""

    def __init__(self, store: PaymentStore, gather_s: float = GATHER_S) -> None:
        self._store = store
        self._gather_s = gather_s
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def store(self, change: Change) -> Payment | None:
        """Store a change as PaymentStore.apply does; raises TransientFaultError."""
        stored: asyncio.Future[Payment | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(change, stored))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = _parted(self._waiting)
                await self._write_together(together)
                if self._waiting:
                    await asyncio.sleep(self._gather_s)
        finally:
            self._writing = None

    async def _write_together(self, together: Sequence[_Waiting]) -> None:
        try:
            stored = await self._store.apply([each.change for each in together])
        except BaseException as fault:
            if _is_of_one(fault) and len(together) > 1:
                # Whoever cannot be stored must not keep others from it.
                for each in together:
                    await self._write_together([each])
                return
            for each in together:
                if not each.stored.done():
                    each.stored.set_exception(_for_waiters(fault))
            if not isinstance(fault, Exception):
                raise
            return
        for each, payment in zip(together, stored, strict=True):
            if not each.stored.done():
                each.stored.set_result(payment)


def _is_of_one(fault: BaseException) -> bool:
    return isinstance(fault, Exception) and not isinstance(fault, TransientFaultError)


def _for_waiters(fault: BaseException) -> Exception:
    return fault if isinstance(fault, Exception) else RuntimeError("the writer of sagas was stopped")


def _parted(waiting: Sequence[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    """Take changes of different payments, in their order; what is left goes with the next."""
    taken: dict[PaymentKey, _Waiting] = {}
    left: list[_Waiting] = []
    for each in waiting:
        if each.change.before.key in taken or len(taken) >= CHANGES_MAX:
            left.append(each)
        else:
            taken[each.change.before.key] = each
    return list(taken.values()), left
