"""What the ledger publishes: CloudEvents for outcomes and entries, and dead letters as they came."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import orjson

from ledger.contract.dead_letter import DeadLetter, Record, bytes_of_address
from ledger.contract.decode import ADDRESS_BYTES_MAX
from ledger.domain.outcome import Outcome
from ledger.domain.transaction import Entry

CONTENT_TYPE = ("content-type", b"application/cloudevents+json")
SOURCE = "ledger"
FINGERPRINT = "ledger-fingerprint"
"""Header of an outcome: the 16 bytes of its event's fingerprint, to tell events of one id and other content apart."""

LETTER_BYTES_MAX = 1024**2
"""A dead letter of more bytes is handed on without them: they are in the table."""

_OPTIONS = orjson.OPT_UTC_Z
_OUTCOME_TYPES = {
    "posted": "event.posted.v1",
    "rejected": "event.rejected.v1",
    "duplicate": "event.duplicate.v1",
}


class Message(NamedTuple):
    """One record to publish."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = (CONTENT_TYPE,)


def record_key(tenant: str, account: str) -> bytes:
    """Give the key that keeps the records of one account in order: UTF-8 `tenant/account`."""
    return f"{tenant}/{account}".encode()


def outcome_message(outcome: Outcome) -> Message:
    """Write an outcome under the key that its event came with."""
    event = outcome.event
    body = _envelope(outcome, event.id, _OUTCOME_TYPES[outcome.kind], outcome.posted_at)
    body["data"] = _outcome_data(outcome)
    headers = (CONTENT_TYPE, (FINGERPRINT, event.fingerprint))
    return Message(event.key, orjson.dumps(body, option=_OPTIONS), headers)


def entry_messages(outcome: Outcome) -> Iterator[Message]:
    """Write the entries of a posted outcome, each under its account's key."""
    for index, entry in enumerate(outcome.entries):
        event_id = f"{outcome.transaction}/{index}"
        body = _envelope(outcome, event_id, "entry.posted.v1", outcome.posted_at)
        body["data"] = {
            "transaction": outcome.transaction,
            **_entry_data(entry),
            "normal_side": entry.normal_side,
            "posted_at": outcome.posted_at,
            "effective_at": outcome.effective_at,
        }
        yield Message(record_key(outcome.event.tenant, entry.account), orjson.dumps(body, option=_OPTIONS))


def _envelope(outcome: Outcome, event_id: str, event_type: str, at: datetime) -> dict[str, Any]:
    event = outcome.event
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": event_type,
        "time": at,
        "tenant": event.tenant,
        "datacontenttype": "application/json",
    }
    if event.correlation_id is not None:
        body["correlationid"] = event.correlation_id
    if event.traceparent is not None:
        body["traceparent"] = event.traceparent
    return body


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    data: dict[str, Any] = {"event_id": outcome.event.id, "event_type": outcome.event.type}
    if outcome.transaction is not None:
        data["transaction"] = outcome.transaction
    if outcome.entries:
        data["entries"] = [_entry_data(entry) for entry in outcome.entries]
    if outcome.hold is not None:
        data["hold"] = msgspec.structs.asdict(outcome.hold)
    if outcome.payment is not None:
        data["payment"] = msgspec.structs.asdict(outcome.payment)
    if outcome.reason is not None:
        data["reason"] = outcome.reason
    if outcome.detail is not None:
        data["detail"] = outcome.detail
    data["posted_at"] = outcome.posted_at
    return data


def _entry_data(entry: Entry) -> dict[str, Any]:
    return {
        "account": entry.account,
        "asset": entry.asset,
        "amount": entry.amount,
        "version": entry.version,
        "balance": entry.balance,
        "posted_debits": entry.posted_debits,
        "posted_credits": entry.posted_credits,
    }


def dead_letter_message(letter: DeadLetter) -> Message:
    """Hand a dead letter on byte for byte; where it came from and why stand in headers of our own.

    One that is too large for that goes without its value, and where they are too large without its key and headers.
    """
    record, truncated = _publishable(letter.record)
    ours = {
        "ledger-topic": record.topic,
        "ledger-partition": str(record.partition),
        "ledger-offset": str(record.offset),
        "ledger-reason": letter.reason.value,
        "ledger-detail": letter.detail,
        "ledger-time": letter.at.isoformat().replace("+00:00", "Z"),
    }
    if truncated:
        ours["ledger-truncated"] = "true"
    headers = (*record.headers, *((name, text.encode()) for name, text in ours.items()))
    return Message(record.key, record.value, headers)


def _publishable(record: Record) -> tuple[Record, bool]:
    """Give what can be published of a record, and whether that is less than all of it."""
    address = bytes_of_address(record.key, record.headers)
    if address + len(record.value or b"") <= LETTER_BYTES_MAX:
        return record, False
    if address <= ADDRESS_BYTES_MAX:
        return msgspec.structs.replace(record, value=None), True
    return msgspec.structs.replace(record, value=None, key=None, headers=()), True
