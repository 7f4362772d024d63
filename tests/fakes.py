"""Fakes by hand: a store that fails at a named step, and signals that are remembered."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.application.faults import TransientFaultError
from ledger.application.ports import BookStore, UnitOfWork
from ledger.observability.signals import Facts, Signals

STEPS = ("begin", "lock", "claim", "recall", "write", "advance", "before commit", "after commit")


class FailingStore:
    """Passes everything on to a real store, and fails at the steps in `faults`, each once, in turn."""

    def __init__(self, store: BookStore, faults: Sequence[str], error: type[Exception] = TransientFaultError):
        self._store = store
        self._error = error
        self.faults = list(faults)

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        await self._store.begin(topic, first_offsets)

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        self.fail("begin")
        async with self._store.unit_of_work() as unit:
            yield _FailingUnit(unit, self)

    def fail(self, step: str) -> None:
        if self.faults and self.faults[0] == step:
            self.faults.pop(0)
            raise self._error(f"failed at {step}")


class _FailingUnit:
    def __init__(self, unit: UnitOfWork, store: FailingStore) -> None:
        self._unit = unit
        self._store = store

    async def lock(self, *given: Any) -> Any:
        self._store.fail("lock")
        return await self._unit.lock(*given)

    async def claim(self, *given: Any) -> Any:
        self._store.fail("claim")
        return await self._unit.claim(*given)

    async def recall(self, *given: Any) -> Any:
        self._store.fail("recall")
        return await self._unit.recall(*given)

    async def write(self, *given: Any) -> None:
        self._store.fail("write")
        await self._unit.write(*given)

    async def advance(self, *given: Any) -> None:
        self._store.fail("advance")
        await self._unit.advance(*given)

    async def commit(self) -> None:
        self._store.fail("before commit")
        await self._unit.commit()
        self._store.fail("after commit")


class RememberedSignals(Signals):
    """Signals whose names and facts are kept."""

    def __init__(self) -> None:
        super().__init__(self._keep)
        self.emitted: list[tuple[str, Facts]] = []

    def _keep(self, name: str, facts: Facts) -> None:
        self.emitted.append((name, facts))

    def names(self) -> list[str]:
        return [name for name, _ in self.emitted]
