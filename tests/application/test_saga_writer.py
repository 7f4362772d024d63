"""Sagas are stored together: a lone change waits for nobody, and those that come meanwhile share a transaction."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.application.faults import TransientFaultError
from ledger.application.payment_ports import Change, Line, Payment
from ledger.application.saga_writer import SagaWriter
from ledger.domain.payments.saga import State, start
from ledger.domain.payments.steps import Verdict
from ledger.domain.payments.terms import Terms
from tests.builders import NOW
from tests.payment_stage import RULES


def change(payment_id: str) -> Change:
    saga = start(payment_id, tenant="acme", now=NOW, deadline=None, rules=RULES)
    terms = Terms(debit="ann", credit="shop", amount=1, asset="USD/2", provider="bank")
    line = Line(at=NOW, happening="woke_up", verdict=Verdict.MOVED, state=State.CHARGING)
    return Change(Payment(saga=saga, terms=terms, version=1, created_at=NOW), saga, line)


class SlowStore:
    """Notes which payments each transaction had."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.transactions: list[list[str]] = []
        self.fault = fault

    async def apply(self, changes: Sequence[Change]) -> Sequence[Payment | None]:
        self.transactions.append([each.saga.id for each in changes])
        await asyncio.sleep(0.001)
        if self.fault is not None:
            raise self.fault
        return [each.before for each in changes]


def writer(store: Any) -> SagaWriter:
    return SagaWriter(store, gather_s=0.005)


async def test_changes_that_come_together_share_a_transaction() -> None:
    store = SlowStore()
    stored = await asyncio.gather(*(writer(store).store(change(name)) for name in "a"))
    assert [each and each.saga.id for each in stored] == ["a"]
    shared = writer(store)
    await asyncio.gather(*(shared.store(change(name)) for name in "bcd"))
    assert store.transactions == [["a"], ["b", "c", "d"]]


async def test_changes_that_come_while_one_runs_go_with_the_next() -> None:
    store = SlowStore()
    shared = writer(store)
    first = asyncio.create_task(shared.store(change("a")))
    await asyncio.sleep(0)
    later = [asyncio.create_task(shared.store(change(name))) for name in "bc"]
    await first
    later.append(asyncio.create_task(shared.store(change("d"))))
    await asyncio.gather(*later)
    assert store.transactions == [["a"], ["b", "c", "d"]]


async def test_two_changes_of_a_payment_are_never_in_one_transaction() -> None:
    store = SlowStore()
    shared = writer(store)
    await asyncio.gather(*(shared.store(change(name)) for name in "aba"))
    assert store.transactions == [["a", "b"], ["a"]]


async def test_everybody_hears_that_the_database_is_away() -> None:
    shared = writer(SlowStore(TransientFaultError("away")))
    told = await asyncio.gather(*(shared.store(change(name)) for name in "ab"), return_exceptions=True)
    assert [type(each) for each in told] == [TransientFaultError] * 2
    with pytest.raises(TransientFaultError):
        await shared.store(change("c"))


class PickyStore(SlowStore):
    """Takes no transaction with the payment `bad`."""

    async def apply(self, changes: Sequence[Change]) -> Sequence[Payment | None]:
        stored = await super().apply(changes)
        if any(each.saga.id == "bad" for each in changes):
            raise ValueError("bad")
        return stored


async def test_a_change_that_cannot_be_stored_keeps_no_other_from_being_stored() -> None:
    shared = writer(PickyStore())
    names = ["a", "bad", "b"]
    stored = await asyncio.gather(*(shared.store(change(name)) for name in names), return_exceptions=True)
    assert [getattr(each, "version", str(each)) for each in stored] == [1, "bad", 1]
    assert await shared.store(change("c")) is not None
