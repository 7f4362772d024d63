"""What the ledger publishes, byte by byte."""

import json
from typing import Any

from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.outgoing import (
    CONTENT_TYPE,
    Message,
    dead_letter_message,
    entry_messages,
    outcome_message,
)
from ledger.domain.outcome import HoldView, Outcome
from ledger.domain.rejection import Reason
from ledger.domain.transaction import Entry
from tests.builders import INT64_MAX, NOW, USD, event, event_id

TRACED = event(correlationid="order-17", traceparent="00-1-2-01")
ENTRIES = (
    Entry("external:bank", USD, -1000, 7, -1000, 1000, 0),
    Entry("ann", USD, 1000, 3, INT64_MAX, 0, INT64_MAX),
)
POSTED = Outcome(TRACED, "posted", NOW, TRACED.id, ENTRIES, effective_at=NOW)


def read(message: Message) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(message.value or b"")
    return content


def test_outcome_has_the_event_id() -> None:
    body = read(outcome_message(POSTED))
    assert (body["id"], body["type"], body["tenant"]) == (event_id(), "event.posted.v1", "acme")


def test_outcome_keeps_the_key_of_its_event() -> None:
    assert outcome_message(Outcome(TRACED, "posted", NOW)).key == TRACED.key


def test_outcome_says_that_it_is_a_cloud_event() -> None:
    assert outcome_message(POSTED).headers == (CONTENT_TYPE,)


def test_outcome_carries_tracing_attributes() -> None:
    body = read(outcome_message(POSTED))
    assert (body["correlationid"], body["traceparent"]) == ("order-17", "00-1-2-01")


def test_outcome_shows_balances_after_it() -> None:
    data = read(outcome_message(POSTED))["data"]
    assert [(line["account"], line["balance"]) for line in data["entries"]] == [
        ("external:bank", -1000),
        ("ann", INT64_MAX),
    ]


def test_refusal_gives_reason_and_detail() -> None:
    refused = Outcome(TRACED, "rejected", NOW, reason=Reason.SAME_ACCOUNT, detail="why")
    assert read(outcome_message(refused))["data"] == {
        "event_id": event_id(),
        "event_type": "transfer.post.v1",
        "reason": "same_account",
        "detail": "why",
        "posted_at": "2026-11-21T10:00:00Z",
    }


def test_duplicate_names_the_transaction() -> None:
    body = read(outcome_message(Outcome(TRACED, "duplicate", NOW, TRACED.id)))
    assert (body["type"], body["data"]["transaction"]) == ("event.duplicate.v1", event_id())


def test_hold_is_shown_as_it_stands() -> None:
    outcome = Outcome(TRACED, "posted", NOW, hold=HoldView("h", "open", 9, 2, 3, 4))
    assert read(outcome_message(outcome))["data"]["hold"] == {
        "hold": "h",
        "state": "open",
        "amount": 9,
        "captured": 2,
        "released": 3,
        "left": 4,
    }


def test_entry_goes_under_its_account() -> None:
    assert [message.key for message in entry_messages(POSTED)] == [b"acme/external:bank", b"acme/ann"]


def test_entry_has_an_id_of_its_own() -> None:
    assert [read(message)["id"] for message in entry_messages(POSTED)] == [
        f"{event_id()}/0",
        f"{event_id()}/1",
    ]


def test_entry_carries_version_and_totals() -> None:
    data = read(list(entry_messages(POSTED))[1])["data"]
    assert data == {
        "transaction": event_id(),
        "account": "ann",
        "asset": USD,
        "amount": 1000,
        "version": 3,
        "balance": INT64_MAX,
        "posted_debits": 0,
        "posted_credits": INT64_MAX,
        "posted_at": "2026-11-21T10:00:00Z",
        "effective_at": "2026-11-21T10:00:00Z",
    }


def test_refusal_has_no_entries() -> None:
    assert list(entry_messages(Outcome(TRACED, "rejected", NOW))) == []


LETTER = DeadLetter(
    Record("payments", 2, 41, b"\xff\x00", b"\x00\xff{", (("a", b"\xff"), ("a", None))),
    DeadLetterReason.MALFORMED_JSON,
    "žluť",
    NOW,
)


def test_dead_letter_keeps_every_byte() -> None:
    message = dead_letter_message(LETTER)
    assert (message.key, message.value, message.headers[:2]) == (
        b"\xff\x00",
        b"\x00\xff{",
        (("a", b"\xff"), ("a", None)),
    )


def test_dead_letter_says_where_and_why() -> None:
    assert dict(dead_letter_message(LETTER).headers[2:]) == {
        "ledger-topic": b"payments",
        "ledger-partition": b"2",
        "ledger-offset": b"41",
        "ledger-reason": b"malformed_json",
        "ledger-detail": "žluť".encode(),
        "ledger-time": b"2026-11-21T10:00:00Z",
    }


def test_tombstone_stays_a_tombstone() -> None:
    record = Record("payments", 0, 0, None, None)
    assert dead_letter_message(DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "", NOW)).value is None
