"""Two tenants who know every id beforehand, and use them up as they like, make nothing seem done that was not."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.adapters.memory.payments import MemoryPayments
from ledger.application import leg_desk
from ledger.application.ledger_provider import LedgerProvider
from ledger.application.leg_desk import LegDesk
from ledger.application.legs import LegIds
from ledger.application.providers import Accepted, ChargeRequest, Declined, RefundRequest
from ledger.contract.decode import decode_event
from tests.application.office import Office
from tests.builders import USD, event, event_id

PAYMENT = event_id("p")
KEYS = {step: f"acme:{PAYMENT}:{step}" for step in ("charge", "refund")}
AMOUNT = 70


SECRET = LegIds("that both have found out")
CHARGE_ID = SECRET.charge("acme", PAYMENT)
IDS = [CHARGE_ID, *(SECRET.reversal("acme", PAYMENT, number) for number in range(3)), event_id("another")]
ACCOUNTS = ["transit:acme", "shop", "external:bank", "thief"]

transfers = st.builds(
    lambda debit, credit, amount: (
        "transfer.post.v1",
        {"debit": debit, "credit": credit, "amount": amount, "asset": USD},
    ),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS),
    st.sampled_from([1, AMOUNT - 1, AMOUNT, 1000]),
)
reversals = st.builds(
    lambda of, amount: (
        "transaction.reverse.v1",
        {"transaction": of} if amount is None else {"transaction": of, "amount": amount},
    ),
    st.sampled_from(IDS),
    st.sampled_from([None, 1, AMOUNT]),
)
closings = st.just(("account.close.v1", {"account": "thief"}))
frauds = st.tuples(st.sampled_from(IDS), st.one_of(transfers, reversals, closings))
acts = st.lists(
    st.one_of(frauds, st.sampled_from(["charge", "refund", "ask charge", "ask refund"])), max_size=12
)


@pytest.fixture(autouse=True, scope="module")
def _no_waits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leg_desk, "LOOK_S", 0.0)
        yield


class Rival:
    """The other tenant's books, and the provider that posts into them."""

    def __init__(self) -> None:
        self.office = Office()
        desk = LegDesk(MemoryPayments(self.office.books), self, lambda: 0.0)
        self.provider = LedgerProvider("rival", desk, SECRET)

    async def publish(self, key: bytes, value: bytes) -> None:
        await self.office.post(decode_event(value))

    async def agree(self) -> None:
        """Let the sender owe more than it is asked for."""
        agreed = {"account": "transit:acme", "overdraft": 10 * AMOUNT}
        await self.office.post(event("account.open.v1", agreed, name="agreed", tenant="rival"))

    async def defraud(self, use_id: str, kind: str, data: dict[str, Any]) -> None:
        await self.office.post(event(kind, data, id=use_id, tenant="rival"))

    async def said(self, act: str) -> object:
        common: dict[str, Any] = {"payment": PAYMENT, "tenant": "acme", "amount": AMOUNT, "asset": USD}
        charge = ChargeRequest(idempotency_key=KEYS["charge"], account="shop", **common)
        refund = RefundRequest(idempotency_key=KEYS["refund"], charge=CHARGE_ID, **common)
        match act:
            case "charge":
                return await self.provider.charge(charge)
            case "refund":
                return await self.provider.refund(refund)
        return await self.provider.status(charge if act == "ask charge" else refund)

    def check(self, act: str) -> None:
        """What was said to be done is in the books: the whole transfer, or that nothing is left of it."""
        posted = self.office.books.contents.transactions["rival", CHARGE_ID]
        legs = {(entry.account, entry.amount) for entry in posted.entries}
        assert legs == {("transit:acme", -AMOUNT), ("shop", AMOUNT)}
        if "refund" in act:
            assert self.office.books.contents.originals["rival", CHARGE_ID].left == 0


@given(acts)
def test_what_is_said_to_be_done_is_in_the_books(script: list[Any]) -> None:
    async def run() -> None:
        rival = Rival()
        await rival.agree()
        for act in [*script, "charge", "ask charge", "refund", "ask refund"]:
            if not isinstance(act, str):
                await rival.defraud(act[0], *act[1])
            elif isinstance(await rival.said(act), Accepted):
                rival.check(act)

    asyncio.run(run())


async def test_nobody_is_paid_by_a_sender_that_they_have_not_agreed_to() -> None:
    rival = Rival()
    declined = await rival.said("charge")
    assert declined == Declined("insufficient_funds", "rival has not agreed that transit:acme owes so much")
    assert await rival.said("ask charge") == declined
    assert ("rival", "transit:acme") not in rival.office.books.contents.accounts
    await rival.agree()  # so it can still be agreed to


async def test_what_the_receiver_paid_the_sender_is_netted() -> None:
    rival = Rival()
    paid = {"debit": "external:bank", "credit": "transit:acme", "amount": AMOUNT, "asset": USD}
    await rival.office.post(event("transfer.post.v1", paid, name="paid", tenant="rival"))
    assert await rival.said("charge") == Accepted(CHARGE_ID)
    assert rival.office.balance("transit:acme", "rival") == 0
