"""What the ledger publishes, byte by byte."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledger.contract.dead_letter import (
    KEPT_BYTES_MAX_LEAST,
    DeadLetter,
    DeadLetterReason,
    Record,
    cut_letter,
    is_kept,
)
from ledger.contract.outgoing import (
    CONTENT_TYPE,
    FINGERPRINT,
    LETTER_BYTES_MAX,
    Message,
    dead_letter_message,
    entry_messages,
    outcome_message,
)
from ledger.domain.outcome import HoldView, Outcome, PaymentView
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


def plain(outcome: Outcome, event_id: str, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The event as the contract has it, from a dictionary."""
    event, at = outcome.event, outcome.posted_at
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": "ledger",
        "type": event_type,
        "time": at,
    }
    body |= {"tenant": event.tenant, "datacontenttype": "application/json"}
    body |= {"correlationid": event.correlation_id, "traceparent": event.traceparent, "data": data}
    told = {name: value for name, value in body.items() if value is not None}
    content: dict[str, Any] = json.loads(orjson.dumps(told, option=orjson.OPT_UTC_Z))
    return content


def facts(entry: Entry) -> dict[str, Any]:
    names = "account", "asset", "amount", "version", "balance", "posted_debits", "posted_credits"
    return {name: getattr(entry, name) for name in names}


@given(
    detail=st.none() | st.text(),
    attributes=st.fixed_dictionaries(
        {}, optional={"correlationid": st.text(max_size=9), "traceparent": st.text(max_size=9)}
    ),
    posted_at=st.datetimes(timezones=st.just(UTC)),
    effective_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    hold=st.none() | st.builds(HoldView, *[st.text()] * 2, *[st.integers(0, INT64_MAX)] * 4),
    payment=st.none() | st.builds(PaymentView, st.text(), st.text()),
    reason=st.none() | st.sampled_from(Reason),
)
def test_what_is_written_by_hand_is_the_contract_s_json(
    detail: str | None,
    attributes: dict[str, Any],
    posted_at: datetime,
    effective_at: datetime | None,
    hold: HoldView | None,
    payment: PaymentView | None,
    reason: Reason | None,
) -> None:
    asked = event(**attributes)
    outcome = Outcome(
        asked,
        "posted",
        posted_at,
        asked.id,
        ENTRIES,
        effective_at or posted_at,
        hold,
        reason,
        detail,
        payment,
    )
    told: dict[str, Any] = {"event_id": asked.id, "event_type": asked.type, "transaction": asked.id}
    told |= {"entries": [facts(entry) for entry in ENTRIES]}
    told |= {"hold": hold and structs.asdict(hold), "payment": payment and structs.asdict(payment)}
    told |= {"reason": reason, "detail": detail, "posted_at": posted_at}
    data = {name: value for name, value in told.items() if value is not None}
    entries = entry_messages(outcome)
    assert read(outcome_message(outcome)) == plain(outcome, asked.id, "event.posted.v1", data)
    for index, (entry, message) in enumerate(zip(ENTRIES, entries, strict=True)):
        more: dict[str, Any] = {
            "normal_side": "credit",
            "posted_at": posted_at,
            "effective_at": outcome.effective_at,
        }
        data = {"transaction": asked.id, **facts(entry), **more}
        assert read(message) == plain(outcome, f"{asked.id}/{index}", "entry.posted.v1", data)
        assert message.key == f"acme/{entry.account}".encode()


def test_outcome_has_the_event_id() -> None:
    body = read(outcome_message(POSTED))
    assert (body["id"], body["type"], body["tenant"]) == (event_id(), "event.posted.v1", "acme")


def test_outcome_keeps_the_key_of_its_event() -> None:
    assert outcome_message(Outcome(TRACED, "posted", NOW)).key == TRACED.key


def test_outcome_says_that_it_is_a_cloud_event_and_of_which_content() -> None:
    assert outcome_message(POSTED).headers == (CONTENT_TYPE, (FINGERPRINT, POSTED.event.fingerprint))


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
        "normal_side": "credit",
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


def large_letter(value: int, key: int = 1) -> DeadLetter:
    record = Record("payments", 2, 41, bytes(key), bytes(value), (("a", b"x"),))
    return DeadLetter(record, DeadLetterReason.TOO_LARGE, "large", NOW)


@pytest.mark.parametrize(
    ("value", "key", "kept_value", "kept_key", "headers"),
    [
        (LETTER_BYTES_MAX - 3, 1, LETTER_BYTES_MAX - 3, 1, 1),
        (LETTER_BYTES_MAX, 1, None, 1, 1),
        (10, LETTER_BYTES_MAX, None, None, 0),
    ],
    ids=["whole", "without its value", "without its key"],
)
def test_a_dead_letter_is_handed_on_as_far_as_it_fits(
    value: int, key: int, kept_value: int | None, kept_key: int | None, headers: int
) -> None:
    message = dead_letter_message(large_letter(value, key))
    sizes = [None if each is None else len(each) for each in (message.value, message.key)]
    assert sizes == [kept_value, kept_key]
    assert [name for name, _ in message.headers].count("a") == headers
    assert dict(message.headers).get("ledger-truncated") == (None if kept_value else b"true")


def test_of_a_letter_that_is_too_large_to_keep_the_beginning_is_kept() -> None:
    letter = cut_letter(large_letter(100, 200), 50)
    assert (letter.record.value, letter.record.key) == (bytes(50), bytes(50))
    assert letter.detail == "large; the first 50 of 100 bytes are kept, of the key 50 of 200"
    assert cut_letter(large_letter(50), 50) == large_letter(50)


def test_the_beginning_of_a_value_is_no_other_value() -> None:
    value = bytes(KEPT_BYTES_MAX_LEAST) + b"rest"
    assert is_kept(value, value[:KEPT_BYTES_MAX_LEAST])
    assert not is_kept(value, value[: KEPT_BYTES_MAX_LEAST - 1])
    assert not is_kept(value, b"\x01" + value[1:])
    assert not is_kept(b"", None)


def test_tombstone_stays_a_tombstone() -> None:
    record = Record("payments", 0, 0, None, None)
    assert dead_letter_message(DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "", NOW)).value is None
