"""Another tenant of this ledger as a provider: its transfer is posted once, and taken back once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import pytest
from msgspec.structs import replace

from ledger.application import ledger_provider, leg_desk
from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.ledger_provider import LedgerProvider
from ledger.application.leg_desk import LegDesk
from ledger.application.legs import LegIds
from ledger.application.payment_ports import EventKey, EventOutcome
from ledger.application.providers import (
    Accepted,
    ChargeRequest,
    Declined,
    Pending,
    RefundRequest,
    RetryLater,
    Unknown,
)
from ledger.contract.fingerprint import fingerprint_of
from ledger.domain.commands import PostTransfer, ReverseTransaction
from tests.builders import event_id

PAYMENT = event_id("p")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_desk, "LOOK_S", 0.0)


CHARGE = ChargeRequest(
    idempotency_key=f"acme:{PAYMENT}:charge",
    payment=PAYMENT,
    tenant="acme",
    amount=70,
    asset="USD/2",
    account="shop",
)


@dataclass
class Books:
    """A log whose events are posted, refused with a reason, or left lying."""

    refuses: list[str] = field(default_factory=list)
    is_away: bool = False
    is_lost: bool = False
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, EventOutcome] = field(default_factory=dict)
    published: int = 0
    looks: int = 0
    now: float = 0.0

    async def publish(self, key: bytes, value: bytes) -> None:
        event = orjson.loads(value)
        self.published += 1
        assert self.events.setdefault(event["id"], event) == event
        if self.is_lost:
            raise LogAwayError("nobody knows whether it was written")
        if not self.is_away:
            self._post(event)

    def _post(self, event: dict[str, Any]) -> None:
        if event["id"] not in self.said:
            reason = self.refuses.pop(0) if self.refuses else None
            self.said[event["id"]] = EventOutcome(reason is None, reason, fingerprint(event))

    async def outcomes(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        self.looks += 1
        assert {key.tenant for key in keys} == {"rival"}
        return {key: self.said[key.id] for key in keys if key.id in self.said}

    def provider(self) -> LedgerProvider:
        """A worker that begins anew: it knows of nothing that was published before."""
        return LedgerProvider("rival", LegDesk(self, self, lambda: self.now), LegIds("secret"))

    def catch_up(self) -> None:
        """Post what lies in the log."""
        self.is_away = False
        for each in self.events.values():
            self._post(each)

    def take_up(self, event_id: str, reason: str | None = None, **content: Any) -> None:
        """Somebody used an id for something else before, and it was posted or refused."""
        other = {"type": "transfer.post.v1", "data": content or OTHER}
        self.said[event_id] = EventOutcome(reason is None, reason, fingerprint(other))


OTHER = {"debit": "transit:acme", "credit": "shop", "amount": 1, "asset": "USD/2"}


def fingerprint(event: dict[str, Any]) -> bytes:
    kind = {"transfer.post.v1": PostTransfer, "transaction.reverse.v1": ReverseTransaction}[event["type"]]
    return fingerprint_of(event["type"], msgspec.convert(event["data"], kind))


def refund_of(charge: str) -> RefundRequest:
    return RefundRequest(
        idempotency_key=f"acme:{PAYMENT}:refund",
        payment=PAYMENT,
        tenant="acme",
        amount=70,
        asset="USD/2",
        charge=charge,
    )


async def charged(books: Books) -> tuple[LedgerProvider, Accepted]:
    provider = books.provider()
    answer = await provider.charge(CHARGE)
    assert isinstance(answer, Accepted)
    return provider, answer


async def test_a_charge_is_a_transfer_from_the_account_that_stands_for_the_payer() -> None:
    books = Books()
    _, answer = await charged(books)
    event = books.events[answer.reference]
    assert (event["type"], event["tenant"]) == ("transfer.post.v1", "rival")
    assert event["data"] == {"debit": "transit:acme", "credit": "shop", "amount": 70, "asset": "USD/2"}


async def test_what_is_posted_elsewhere_is_of_the_trace_of_its_payment() -> None:
    books = Books()
    provider = books.provider()
    answer = await provider.charge(replace(CHARGE, traceparent=TRACE))
    assert isinstance(answer, Accepted)
    await provider.refund(replace(refund_of(answer.reference), traceparent=TRACE))
    assert [event["traceparent"] for event in books.events.values()] == [TRACE, TRACE]


async def test_a_charge_is_posted_once_however_often_it_is_asked_for() -> None:
    books = Books()
    provider, answer = await charged(books)
    assert await provider.charge(CHARGE) == answer
    assert await provider.status(CHARGE) == answer
    assert len(books.events) == 1


async def test_a_charge_that_the_books_refuse_is_declined_for_good() -> None:
    books = Books(refuses=["account_closed"])
    provider = books.provider()
    refused = Declined("account_closed", "in the books of rival")
    assert await provider.charge(CHARGE) == refused
    assert await provider.charge(CHARGE) == await books.provider().status(CHARGE) == refused


async def test_a_charge_that_is_not_posted_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_desk, "LOOKS", 2)
    books = Books(is_away=True)
    assert isinstance(await books.provider().charge(CHARGE), Unknown)


# A leg that may have been published is never "not found"


async def test_status_of_a_charge_that_is_not_posted_publishes_it_and_is_pending() -> None:
    books = Books(is_away=True)
    assert await books.provider().status(CHARGE) == Pending()
    assert [event["data"]["amount"] for event in books.events.values()] == [70]
    books.catch_up()
    assert isinstance(await books.provider().status(CHARGE), Accepted)


async def test_status_of_a_charge_is_unknown_while_the_log_is_away_and_publishes_again() -> None:
    books = Books(is_lost=True)
    provider = books.provider()
    assert isinstance(await provider.charge(CHARGE), Unknown)
    assert isinstance(await provider.status(CHARGE), Unknown)
    books.is_lost = False
    assert await provider.status(CHARGE) == Pending()
    assert (await provider.status(CHARGE), books.published) == (Accepted(*books.events), 3)


async def test_leg_that_lies_in_the_log_is_not_published_again_soon() -> None:
    books = Books(is_away=True)
    provider = books.provider()
    assert [await provider.status(CHARGE) for _ in range(5)] == [Pending()] * 5
    assert books.published == 1
    books.now += leg_desk.AGAIN_S
    assert (await provider.status(CHARGE), books.published) == (Pending(), 2)


async def test_status_of_a_refund_that_is_not_posted_publishes_it_and_is_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leg_desk, "LOOKS", 2)
    books = Books()
    _, answer = await charged(books)
    books.is_away = True
    request = refund_of(answer.reference)
    assert isinstance(await books.provider().refund(request), Unknown)
    assert await books.provider().status(request) == Pending()
    assert len(books.events) == 2
    books.catch_up()
    assert isinstance(await books.provider().status(request), Accepted)
    assert len(books.events) == 2


async def test_all_that_wait_share_one_look() -> None:
    books = Books(is_away=True)
    desk = LegDesk(books, books, lambda: 0.0)
    provider = LedgerProvider("rival", desk, LegIds("secret"))
    payments = [event_id(number) for number in range(50)]
    waiting = [
        asyncio.ensure_future(provider.charge(msgspec.structs.replace(CHARGE, payment=each)))
        for each in payments
    ]
    while books.looks < 3:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert len(books.events) == 50
    books.catch_up()
    assert all(isinstance(each, Accepted) for each in await asyncio.gather(*waiting))
    assert books.looks <= 6


async def test_fault_of_the_database_reaches_all_that_wait() -> None:
    books = Books()

    async def away(keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        raise TransientFaultError("restarting")

    books.outcomes = away  # type: ignore[method-assign]
    provider = books.provider()
    answers = await asyncio.gather(*(provider.charge(CHARGE) for _ in range(3)))
    assert answers == [Unknown("restarting")] * 3
    assert await provider.status(CHARGE) == RetryLater("restarting")


def test_ids_cannot_be_worked_out_without_the_secret() -> None:
    ids, others = LegIds("secret"), LegIds("guess")
    assert ids.charge("acme", PAYMENT) == LegIds("secret").charge("acme", PAYMENT)
    assert ids.charge("acme", PAYMENT) != others.charge("acme", PAYMENT)
    assert ids.reversal("acme", PAYMENT, 0) != others.reversal("acme", PAYMENT, 0)
    made = {ids.charge("acme", PAYMENT), *(ids.reversal("acme", PAYMENT, number) for number in range(100))}
    assert len(made) == 101


# Refunds


async def test_a_refund_reverses_the_transfer() -> None:
    books = Books()
    provider, answer = await charged(books)
    request = refund_of(answer.reference)
    first = await provider.refund(request)
    assert isinstance(first, Accepted)
    assert await provider.refund(request) == await provider.status(request) == first
    reversals = [each["data"] for each in books.events.values() if each["type"] == "transaction.reverse.v1"]
    assert reversals == [{"transaction": answer.reference}]


async def test_a_refund_that_was_refused_is_tried_under_another_id() -> None:
    books = Books()
    provider, answer = await charged(books)
    books.refuses = ["insufficient_funds"]
    request = refund_of(answer.reference)
    assert await provider.refund(request) == Declined("insufficient_funds")
    assert isinstance(await provider.refund(request), Accepted)


async def test_a_transfer_that_was_reversed_by_hand_is_refunded() -> None:
    books = Books()
    provider, answer = await charged(books)
    books.refuses = ["already_reversed"]
    assert isinstance(await provider.refund(refund_of(answer.reference)), Accepted)


# Ids that somebody used up, who knew the secret


async def ids(books: Books) -> tuple[str, list[str]]:
    """Give the ids of the charge and of the first reversals, as an honest run has them."""
    honest = Books()
    provider, answer = await charged(honest)
    honest.refuses = ["insufficient_funds"] * 3
    for _ in range(3):
        await provider.refund(refund_of(answer.reference))
    return answer.reference, [each for each in honest.events if each != answer.reference]


async def test_a_charge_whose_id_was_used_up_is_declined_not_taken_for_done() -> None:
    books = Books()
    charge_id, _ = await ids(books)
    books.take_up(charge_id)
    provider = books.provider()
    refused = Declined("event_id_reused", "in the books of rival")
    assert await provider.status(CHARGE) == await provider.charge(CHARGE) == refused


async def test_the_very_same_transfer_under_the_id_is_the_charge() -> None:
    books = Books()
    charge_id, _ = await ids(books)
    same: dict[str, Any] = {"debit": "transit:acme", "credit": "shop", "amount": 70, "asset": "USD/2"}
    books.take_up(charge_id, **same)
    assert await books.provider().charge(CHARGE) == Accepted(charge_id)


@pytest.mark.parametrize("reason", [None, "already_reversed"])
async def test_a_refund_whose_ids_were_used_up_goes_on_with_the_next(reason: str | None) -> None:
    books = Books()
    provider, answer = await charged(books)
    _, reversals = await ids(books)
    for each in reversals[:2]:
        books.take_up(each, reason)
    request = refund_of(answer.reference)
    assert isinstance(await provider.refund(request), Accepted)
    assert books.events[reversals[2]]["data"] == {"transaction": answer.reference}
    assert reversals[0] not in books.events


async def test_a_refund_is_never_done_while_all_its_ids_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_provider, "REVERSALS_MAX", 3)
    books = Books()
    provider, answer = await charged(books)
    _, reversals = await ids(books)
    for each in reversals:
        books.take_up(each)
    assert await provider.refund(refund_of(answer.reference)) == Declined("event_id_reused")
    assert await provider.status(refund_of(answer.reference)) == Declined("event_id_reused")


async def test_a_refund_takes_back_nothing_but_what_the_payment_charged() -> None:
    books = Books()
    provider, _ = await charged(books)
    answer = await provider.refund(refund_of(event_id("another transfer of theirs")))
    assert isinstance(answer, Declined)
    assert [each["type"] for each in books.events.values()] == ["transfer.post.v1"]
