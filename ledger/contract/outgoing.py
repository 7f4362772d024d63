"""What the ledger publishes: CloudEvents for outcomes and entries, and dead letters as they came."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import orjson

from ledger.contract.dead_letter import DeadLetter, Record, bytes_of_address
from ledger.contract.decode import ADDRESS_BYTES_MAX
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome

Headers = tuple[tuple[str, bytes | None], ...]

CONTENT_TYPE = ("content-type", b"application/cloudevents+json")
HEADERS: Headers = (CONTENT_TYPE,)
"""Of a record that holds an event in JSON, and of which no more need be said."""
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
    headers: Headers = HEADERS


def record_key(tenant: str, account: str) -> bytes:
    """Give the key that keeps the records of one account in order: UTF-8 `tenant/account`."""
    return f"{tenant}/{account}".encode()


def outcome_message(outcome: Outcome) -> Message:
    """Write an outcome under the key that its event came with."""
    value, _ = texts_of(outcome)
    return Message(outcome.event.key, value, outcome_headers(outcome.event))


def entry_messages(outcome: Outcome) -> list[Message]:
    """Write the entries of a posted outcome, each under its account's key."""
    return [Message(*each) for each in texts_of(outcome)[1]]


def outcome_headers(event: Event) -> Headers:
    """Give the headers of the record that tells of the outcome of an event."""
    return CONTENT_TYPE, (FINGERPRINT, event.fingerprint)


# Written by hand: a dictionary for each of three records costs as much as deciding the event. Ids, types, tenants,
# accounts and assets have no character that JSON would escape; whatever else is text goes through orjson.


def texts_of(outcome: Outcome) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Write an outcome, and the key and value of each of its entries."""
    event, posted_at = outcome.event, _utc(outcome.posted_at)
    envelope = f'"time":{posted_at},"tenant":"{event.tenant}","datacontenttype":"application/json"'
    if event.correlation_id is not None:
        envelope += f',"correlationid":{_json(event.correlation_id)}'
    if event.traceparent is not None:
        envelope += f',"traceparent":{_json(event.traceparent)}'
    entries = [
        f'"account":"{entry.account}","asset":"{entry.asset}","amount":{entry.amount},'
        f'"version":{entry.version},"balance":{entry.balance},'
        f'"posted_debits":{entry.posted_debits},"posted_credits":{entry.posted_credits}'
        for entry in outcome.entries
    ]
    value = (
        f'{{"specversion":"1.0","id":"{event.id}","source":"{SOURCE}","type":"{_OUTCOME_TYPES[outcome.kind]}",'
        f'{envelope},"data":{{"event_id":"{event.id}","event_type":"{event.type}",'
        f'{_members(outcome, entries)}"posted_at":{posted_at}}}}}'
    )
    return value.encode(), _entries(outcome, envelope, entries) if entries else []


def _members(outcome: Outcome, entries: Sequence[str]) -> str:
    members = ""
    if outcome.transaction is not None:
        members += f'"transaction":"{outcome.transaction}",'
    if entries:
        members += f'"entries":[{{{"},{".join(entries)}}}],'
    if outcome.hold is not None:
        members += f'"hold":{_json(msgspec.structs.asdict(outcome.hold))},'
    if outcome.payment is not None:
        members += f'"payment":{_json(msgspec.structs.asdict(outcome.payment))},'
    if outcome.reason is not None:
        members += f'"reason":"{outcome.reason.value}",'
    if outcome.detail is not None:
        members += f'"detail":{_json(outcome.detail)},'
    return members


def _entries(outcome: Outcome, envelope: str, entries: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Write the entries of an outcome; `envelope` has the last members of each, `entries` those of each alone."""
    tenant, transaction = outcome.event.tenant, outcome.transaction
    first = f'{{"specversion":"1.0","id":"{transaction}/'
    middle = (
        f'","source":"{SOURCE}","type":"entry.posted.v1",{envelope},"data":{{"transaction":"{transaction}",'
    )
    effective_at = None if outcome.effective_at is None else _utc(outcome.effective_at)
    last = f'","posted_at":{_utc(outcome.posted_at)},"effective_at":{effective_at or "null"}}}}}'
    return [
        (
            record_key(tenant, entry.account),
            f'{first}{index}{middle}{members},"normal_side":"{entry.normal_side}{last}'.encode(),
        )
        for index, (entry, members) in enumerate(zip(outcome.entries, entries, strict=True))
    ]


def _json(value: Any) -> str:
    return orjson.dumps(value, option=_OPTIONS).decode()


_utc = lru_cache(maxsize=64)(_json)
"""The same for a time in UTC: a batch has few."""


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
