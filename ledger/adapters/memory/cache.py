"""Balances cached in the process: the ones used last, each for its time."""

import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import count

import msgspec

from ledger.application.balance_cache import BalanceId, Found
from ledger.application.reading import BalanceView

_TIME = struct.Struct(">d")


class _Slot(msgspec.Struct):
    lease: bytes
    view: BalanceView | None = None
    begun: float = 0.0
    ttl_s: float = 0.0


class MemoryCache:
    """A BalanceCache. `monotonic` counts seconds, from whenever.

    A lease comes with the time: what is put was read after that, however long it takes to get here.
    """

    def __init__(self, entries_max: int, monotonic: Callable[[], float]) -> None:
        self._entries_max = entries_max
        self._monotonic = monotonic
        self._slots: OrderedDict[BalanceId, _Slot] = OrderedDict()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._slots)

    async def get(self, balance: BalanceId) -> Found:
        now = self._monotonic()
        slot = self._slots.get(balance)
        if slot is None:
            slot = self._slots[balance] = _Slot(self._lease())
            if len(self._slots) > self._entries_max:
                self._slots.popitem(last=False)
        self._slots.move_to_end(balance)
        age_s, lease = now - slot.begun, _TIME.pack(now) + slot.lease
        if slot.view is None or age_s >= slot.ttl_s:
            return Found(None, 0.0, 0.0, lease)
        return Found(slot.view, age_s, slot.ttl_s, lease)

    async def put(
        self, balance: BalanceId, lease: bytes, view: BalanceView, age_s: float, ttl_s: float
    ) -> bool:
        slot = self._slots.get(balance)
        if slot is None or slot.lease != lease[_TIME.size :]:
            return False
        (leased,) = _TIME.unpack(lease[: _TIME.size])
        self._slots[balance] = _Slot(self._lease(), view, min(self._monotonic() - age_s, leased), ttl_s)
        self._slots.move_to_end(balance)
        return True

    async def forget(self, balances: Sequence[BalanceId]) -> None:
        for balance in balances:
            self._slots.pop(balance, None)

    def _lease(self) -> bytes:
        return next(self._numbers).to_bytes(8, "big")
