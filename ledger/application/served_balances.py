"""What a process has served of each balance, and heard of it: the least that it may serve next."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from ledger.application.balance_cache import BalanceId
from ledger.application.reading import BalanceView


class Reading(NamedTuple):
    """A balance that was read from the books at `begun` (seconds, monotonic) or later."""

    view: BalanceView
    begun: float


class _Last(NamedTuple):
    reading: Reading
    served_at: float
    heard: int
    """The highest version heard of."""


class ServedBalances:
    """Remembers the accounts served last, about `entries_max` balances of them."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._count = 0
        self._accounts: OrderedDict[tuple[int, str], dict[str, _Last]] = OrderedDict()

    def accept(self, balance: BalanceId, reading: Reading, now: float) -> bool:
        """Remember a balance as served, if it is surely no older than the one served before."""
        last = self._find(balance)
        if last is not None and not _is_no_older(reading, last):
            return False
        self._keep(balance, _Last(reading, now, last.heard if last else 0))
        return True

    def last(self, balance: BalanceId) -> Reading | None:
        """Give what was served last."""
        last = self._find(balance)
        return last.reading if last else None

    def drop(self, balance: BalanceId) -> None:
        """Forget what was served."""
        assets = self._accounts.get(balance[:2], {})
        if assets.pop(balance[2], None) is not None:
            self._count -= 1

    def hear(self, balance: BalanceId, version: int) -> bool:
        """Hear of a version; tells whether what was served last is older."""
        last = self._find(balance)
        if last is None:
            return False
        if version > last.heard:
            self._accounts[balance[:2]][balance[2]] = last._replace(heard=version)
        return last.reading.view.version < version

    def is_known_changed(self, balance: BalanceId, view: BalanceView) -> bool:
        """Tell whether a newer version than this one was heard of."""
        last = self._find(balance)
        return last is not None and view.version < last.heard

    def assets(self, account: tuple[int, str]) -> Sequence[str]:
        """List the assets of which an account's balance was served."""
        return list(self._accounts.get(account, ()))

    def _find(self, balance: BalanceId) -> _Last | None:
        assets = self._accounts.get(balance[:2])
        return None if assets is None else assets.get(balance[2])

    def _keep(self, balance: BalanceId, last: _Last) -> None:
        assets = self._accounts.setdefault(balance[:2], {})
        self._count += balance[2] not in assets
        assets[balance[2]] = last
        self._accounts.move_to_end(balance[:2])
        while self._count > self._entries_max:
            _, dropped = self._accounts.popitem(last=False)
            self._count -= len(dropped)


def _is_no_older(reading: Reading, last: _Last) -> bool:
    """Versions only grow. What is held has none: of one version, only a reading begun later is surely later."""
    before = last.reading.view
    if reading.view.version != before.version:
        return reading.view.version > before.version
    return reading.view.held == before.held or reading.begun >= last.served_at
