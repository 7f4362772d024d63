"""Requests of payments: accepted with their funds held, or refused; and whose holds they are."""

from datetime import timedelta

import msgspec

from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome, PaymentView
from ledger.domain.payments.saga import HoldFact, State, Step
from tests.builders import NOW, USD, event, event_id
from tests.scripts import Desk, check

REQUEST = {"debit": "ann", "credit": "shop", "amount": 70, "asset": USD, "provider": "bank"}
FEE = {"fee": {"account": "fees", "amount": 2}}


def desk_with_payment(**more: object) -> tuple[Desk, Outcome]:
    desk = check("transfer external:bank ann 100 | posted")
    return desk, desk.handle(event("payment.request.v1", REQUEST | more, name="p"))


def stored(desk: Desk, step: Step, name: str = "of the saga") -> None:
    """Let the saga of `p` store what it is about to publish."""
    hold = desk.books.holds["acme", event_id("p")]
    assert hold.guard is not None
    hold.guard = msgspec.structs.replace(hold.guard, event_id=event_id(name), step=step)


def closing(verb: str, name: str = "of the saga", **more: object) -> Event:
    return event(f"hold.{verb}.v1", {"hold": event_id("p"), **more}, name=name)


def answer(desk: Desk, sent: Event) -> str:
    outcome = desk.handle(sent)
    return outcome.reason or outcome.kind


def test_request_holds_funds() -> None:
    check("""
        transfer external:bank ann 100    | posted
        pay ann shop 70                   | posted
        show ann                          | 100 held 70 version 1
        transfer ann bob 31               | insufficient_funds
        pay ann shop 31                   | insufficient_funds
    """)


def test_refusals_come_in_order() -> None:
    check("""
        open shut                                          | posted
        close shut                                         | posted
        pay ann ann 0 by=nobody                            | same_account
        pay ann shop 0 fee=ann:1                           | same_account
        pay shut shop 5 fee=fees:5                         | amount_out_of_range
        pay shut shop 5 fee=fees:0                         | amount_out_of_range
        pay ann shop 5 fee=shut:4 by=nobody                | account_closed
        pay ann shop 5 fee=fees:4 by=nobody                | unknown_provider
        pay ann shop 5 by=ledger:globex                    | unknown_provider
        pay ann shop 5                                     | insufficient_funds
    """)


def test_saga_begins_with_its_funds_held() -> None:
    desk, outcome = desk_with_payment()
    [requested] = desk.books.changes.payments
    saga = requested.saga
    assert (saga.state, saga.hold, saga.next_at, saga.deadline) == (
        State.FUNDS_HELD,
        HoldFact.OPEN,
        NOW,
        NOW + timedelta(seconds=900),
    )
    assert outcome.payment == PaymentView(event_id("p"), "funds_held")


def test_request_may_set_the_deadline() -> None:
    desk, _ = desk_with_payment(deadline="2026-11-21T12:00:00+01:00")
    assert str(desk.books.changes.payments[0].saga.deadline) == "2026-11-21 11:00:00+00:00"


def test_nobody_closes_the_hold_of_a_payment() -> None:
    desk, _ = desk_with_payment()
    stored(desk, Step.CAPTURE)
    strangers = [
        closing("capture", "another"),
        closing("void", "another"),
        closing("void"),
        closing("capture", amount=70),
        closing("capture", final=False),
    ]
    assert {answer(desk, each) for each in strangers} == {"hold_not_found"}


def test_before_its_saga_says_so_nobody_closes_it() -> None:
    desk, _ = desk_with_payment()
    assert answer(desk, closing("capture")) == "hold_not_found"


def test_saga_captures_with_the_fee_in_one_transaction() -> None:
    desk, _ = desk_with_payment(**FEE)
    stored(desk, Step.CAPTURE)
    outcome = desk.handle(closing("capture"))
    lines = [(entry.account, entry.amount) for entry in outcome.entries]
    assert lines == [("ann", -70), ("shop", 68), ("fees", 2)]
    assert outcome.hold is not None
    assert (outcome.hold.state, outcome.hold.captured) == ("captured", 70)


def test_fee_may_go_where_the_money_goes() -> None:
    desk, _ = desk_with_payment(fee={"account": "shop", "amount": 2})
    stored(desk, Step.CAPTURE)
    outcome = desk.handle(closing("capture"))
    assert [(entry.account, entry.amount, entry.version) for entry in outcome.entries] == [
        ("ann", -70, 2),
        ("shop", 68, 1),
        ("shop", 2, 2),
    ]


def test_saga_voids() -> None:
    desk, _ = desk_with_payment(**FEE)
    stored(desk, Step.RELEASE)
    assert answer(desk, closing("void")) == "posted"
    stored(desk, Step.RELEASE, "again")
    assert answer(desk, closing("void", "again")) == "hold_closed"
    stored(desk, Step.CAPTURE, "after all")
    assert answer(desk, closing("capture", "after all")) == "hold_closed"
