"""Another tenant of this ledger as a provider: its transfer is posted once, and taken back once."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import pytest

from ledger.application import ledger_provider
from ledger.application.ledger_provider import LedgerProvider
from ledger.application.payment_ports import EventOutcome
from ledger.application.providers import Accepted, ChargeRequest, Declined, NotFound, RefundRequest, Unknown
from ledger.contract.fingerprint import fingerprint_of
from ledger.domain.commands import PostTransfer, ReverseTransaction
from tests.builders import event_id

PAYMENT = event_id("p")
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
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, EventOutcome] = field(default_factory=dict)

    async def publish(self, key: bytes, value: bytes) -> None:
        event = orjson.loads(value)
        self.events.setdefault(event["id"], event)
        if not self.is_away and event["id"] not in self.outcomes:
            reason = self.refuses.pop(0) if self.refuses else None
            self.outcomes[event["id"]] = EventOutcome(reason is None, reason, fingerprint(event))

    async def outcome(self, tenant: str, event_id: str) -> EventOutcome | None:
        assert tenant == "rival"
        return self.outcomes.get(event_id)

    def take_up(self, event_id: str, reason: str | None = None, **content: Any) -> None:
        """Somebody used an id for something else before, and it was posted or refused."""
        other = {"type": "transfer.post.v1", "data": content or OTHER}
        self.outcomes[event_id] = EventOutcome(reason is None, reason, fingerprint(other))


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
    provider = LedgerProvider("rival", books, books)
    answer = await provider.charge(CHARGE)
    assert isinstance(answer, Accepted)
    return provider, answer


async def test_a_charge_is_a_transfer_from_the_account_that_stands_for_the_payer() -> None:
    books = Books()
    _, answer = await charged(books)
    event = books.events[answer.reference]
    assert (event["type"], event["tenant"]) == ("transfer.post.v1", "rival")
    assert event["data"] == {"debit": "transit:acme", "credit": "shop", "amount": 70, "asset": "USD/2"}


async def test_a_charge_is_posted_once_however_often_it_is_asked_for() -> None:
    books = Books()
    provider, answer = await charged(books)
    assert await provider.charge(CHARGE) == answer
    assert await provider.status(CHARGE) == answer
    assert len(books.events) == 1


async def test_a_charge_that_the_books_refuse_is_declined_for_good() -> None:
    books = Books(refuses=["account_closed"])
    provider = LedgerProvider("rival", books, books)
    assert await provider.charge(CHARGE) == Declined("account_closed")
    assert await provider.charge(CHARGE) == Declined("account_closed")


async def test_a_charge_that_is_not_posted_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_provider, "LOOKS", 2)
    books = Books(is_away=True)
    provider = LedgerProvider("rival", books, books)
    assert isinstance(await provider.charge(CHARGE), Unknown)
    assert await provider.status(CHARGE) == NotFound()


async def test_a_refund_reverses_the_transfer() -> None:
    books = Books()
    provider, answer = await charged(books)
    request = refund_of(answer.reference)
    assert await provider.status(request) == NotFound()
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


# Ids that somebody used up: either tenant can work them out


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
    provider = LedgerProvider("rival", books, books)
    assert await provider.status(CHARGE) == Declined("event_id_reused")
    assert await provider.charge(CHARGE) == Declined("event_id_reused")


async def test_the_very_same_transfer_under_the_id_is_the_charge() -> None:
    books = Books()
    charge_id, _ = await ids(books)
    same: dict[str, Any] = {"debit": "transit:acme", "credit": "shop", "amount": 70, "asset": "USD/2"}
    books.take_up(charge_id, **same)
    assert await LedgerProvider("rival", books, books).charge(CHARGE) == Accepted(charge_id)


@pytest.mark.parametrize("reason", [None, "already_reversed"])
async def test_a_refund_whose_ids_were_used_up_goes_on_with_the_next(reason: str | None) -> None:
    books = Books()
    provider, answer = await charged(books)
    _, reversals = await ids(books)
    for each in reversals[:2]:
        books.take_up(each, reason)
    request = refund_of(answer.reference)
    assert await provider.status(request) == Declined("event_id_reused")
    assert isinstance(await provider.refund(request), Accepted)
    assert books.events[reversals[2]]["data"] == {"transaction": answer.reference}
    assert reversals[0] not in books.events


async def test_a_refund_is_never_done_while_all_its_ids_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_provider, "REFUNDS_MAX", 3)
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
