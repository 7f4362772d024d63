"""Deciding again: at the time of the first decision, and with the leave that an event had then."""

from datetime import timedelta

import msgspec
import pytest

from ledger.domain.books import Books, Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier, Outcome, OutcomeKind
from ledger.domain.posting import decide
from ledger.domain.rejection import Reason
from ledger.domain.replaying import NOT_TRIED, DecideAgain
from tests.builders import NOW, event, event_id, transfer

LATER = NOW + timedelta(days=400)
FUND = transfer("external:bank", "ann", 100, name="fund")
PAY_DATA = {"debit": "ann", "credit": "shop", "amount": 60, "asset": "USD/2", "provider": "bank"}
PAY = event("payment.request.v1", PAY_DATA, name="pay")
CAPTURE = event("hold.capture.v1", {"hold": event_id("pay")}, name="capture")
VOID = event("hold.void.v1", {"hold": event_id("pay")}, name="void")


def precedent(
    of: Event, kind: OutcomeKind = "posted", reason: Reason | None = None, **more: bytes
) -> Earlier:
    fingerprint = more.get("fingerprint", of.fingerprint)
    return Earlier(fingerprint, kind, NOW, reason=reason, detail="as it was" if reason else None)


def again(judge: DecideAgain, books: Books, *events: Event) -> list[Outcome]:
    return [judge.decide(each, books, LATER, Rules()) for each in events]


def judge_of(*precedents: tuple[Event, Earlier]) -> DecideAgain:
    judge = DecideAgain()
    judge.precedents = {of.identity: earlier for of, earlier in precedents}
    return judge


def test_an_event_is_decided_at_the_time_at_which_it_was() -> None:
    [outcome] = again(judge_of((FUND, precedent(FUND))), Books(), FUND)
    assert (outcome.kind, outcome.posted_at) == ("posted", NOW)


def test_an_event_without_a_precedent_is_decided_by_its_own_time_or_by_the_clock() -> None:
    judge = DecideAgain()
    assert judge.moment_of(FUND, LATER) == LATER
    judge.times = {FUND.identity: NOW}
    assert judge.moment_of(FUND, LATER) == NOW


def test_a_payment_and_the_capture_of_its_hold_need_neither_provider_nor_saga() -> None:
    judge = judge_of(*((each, precedent(each)) for each in (FUND, PAY, CAPTURE)))
    assert [each.kind for each in again(judge, Books(), FUND, PAY, CAPTURE)] == ["posted"] * 3


def test_without_a_precedent_nobody_may_capture_the_hold_of_a_payment() -> None:
    judge = judge_of((FUND, precedent(FUND)), (PAY, precedent(PAY)))
    judge.times = {CAPTURE.identity: NOW}
    assert again(judge, Books(), FUND, PAY, CAPTURE)[-1].reason == Reason.HOLD_NOT_FOUND


def test_the_leave_of_one_event_is_not_that_of_another() -> None:
    refused = precedent(CAPTURE, "rejected", Reason.HOLD_NOT_FOUND)
    judge = judge_of(*((each, precedent(each)) for each in (FUND, PAY, VOID)), (CAPTURE, refused))
    outcomes = again(judge, Books(), FUND, PAY, CAPTURE, VOID)
    assert [each.reason or each.kind for each in outcomes] == ["posted", "posted", "hold_not_found", "posted"]


@pytest.mark.parametrize(
    ("auto_open", "follows", "reason"),
    [
        ({}, event(PAY.type, {**PAY_DATA, "amount": 1}, name="pay more"), Reason.UNKNOWN_PROVIDER),
        ({"acme": False}, transfer("ann", "stranger", 1, name="stranger"), Reason.ACCOUNT_NOT_FOUND),
    ],
)
def test_the_leave_of_an_event_ends_with_it(
    auto_open: dict[str, bool], follows: Event, reason: Reason
) -> None:
    books = Books(auto_open=dict(auto_open))
    judge = judge_of((FUND, precedent(FUND)), (PAY, precedent(PAY)))
    judge.times = {follows.identity: NOW}
    outcomes = again(judge, books, FUND, PAY, follows)
    assert [each.reason or each.kind for each in outcomes] == ["posted", "posted", reason]
    assert (books.auto_open, books.providers) == (auto_open, set())


def test_the_leave_to_capture_ends_with_an_event_though_it_is_refused() -> None:
    books = Books()
    [*_, guarded] = again(judge_of((FUND, precedent(FUND)), (PAY, precedent(PAY))), books, FUND, PAY)
    hold = books.holds["acme", PAY.id]
    guard = hold.guard
    whole = event("hold.capture.v1", {"hold": PAY.id, "amount": 10**6}, name="too much")
    [refused] = again(judge_of((whole, precedent(whole))), books, whole)
    assert (guarded.kind, refused.kind, hold.guard) == ("posted", "rejected", guard)


HELD = event(
    "hold.place.v1",
    {**{"debit": "ann", "credit": "shop", "amount": 60, "asset": "USD/2"},
     "expires_at": (NOW + timedelta(seconds=10)).isoformat()},
    name="held",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "after_s", "state"),
    [("hold.capture.v1", 1, "captured"), ("hold.void.v1", 1, "voided"), ("hold.void.v1", 30, "expired")],
)
def test_a_hold_ends_as_it_did_though_its_accounts_were_posted_to_since(
    command: str, after_s: float, state: str
) -> None:
    books = Books()
    again(judge_of((FUND, precedent(FUND)), (HELD, precedent(HELD))), books, FUND, HELD)
    for code in ("ann", "shop"):
        books.balance("acme", code, "USD/2").last_posted_at = NOW + timedelta(seconds=60)
    ends = event(command, {"hold": HELD.id}, name="ends")
    told = msgspec.structs.replace(precedent(ends), posted_at=NOW + timedelta(seconds=after_s))
    [outcome] = again(judge_of((ends, told)), books, ends)
    hold = books.holds["acme", HELD.id]
    assert (outcome.kind, hold.state, hold.expires_at) == ("posted", state, NOW + timedelta(seconds=10))


@pytest.mark.parametrize("reason", sorted(NOT_TRIED))
def test_what_a_decider_did_not_see_is_refused_again(reason: Reason) -> None:
    [outcome] = again(judge_of((FUND, precedent(FUND, "rejected", reason))), Books(), FUND)
    assert (outcome.reason, outcome.detail) == (reason, "as it was")


SPEND = transfer("ann", "shop", 70, name="spend")


def test_a_refusal_that_the_rules_would_not_give_is_repeated_and_told() -> None:
    books = Books()
    judge = judge_of(
        (FUND, precedent(FUND)), (SPEND, precedent(SPEND, "rejected", Reason.INSUFFICIENT_FUNDS))
    )
    outcomes = again(judge, books, FUND, SPEND)
    assert [each.reason for each in outcomes] == [None, Reason.INSUFFICIENT_FUNDS]
    assert judge.unseen == {SPEND.identity: "posted"}
    assert books.balance("acme", "ann", "USD/2").balance == 100
    assert [each.account.code for each in books.changes.balances] == ["external:bank", "ann"]


def test_a_refusal_that_the_rules_give_as_well_is_not_told() -> None:
    judge = judge_of((SPEND, precedent(SPEND, "rejected", Reason.INSUFFICIENT_FUNDS)))
    assert again(judge, Books(), SPEND)[0].reason == Reason.INSUFFICIENT_FUNDS
    assert judge.unseen == {}


def test_a_precedent_of_other_content_is_none() -> None:
    judge = judge_of((FUND, precedent(FUND, "rejected", Reason.EVENT_TOO_OLD, fingerprint=b"other")))
    [outcome] = again(judge, Books(), FUND)
    assert outcome.kind == decide(FUND, Books(), NOW, Rules()).kind == "posted"


def test_a_refusal_that_turns_out_void_is_not_told() -> None:
    refused = precedent(FUND, "rejected", Reason.ACCOUNT_CLOSED)
    judge = judge_of((FUND, refused))
    again(judge, Books(), FUND)
    assert judge.unseen == {FUND.identity: "posted"}
    judge.undone([PAY, FUND])
    assert judge.unseen == {}
