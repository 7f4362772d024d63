"""What the ledger publishes: CloudEvents for outcomes and entries, and dead letters as they came."""

from collections.abc import Iterator, Sequence
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
    return _outcome_message(outcome, _Shared.of(outcome))


def entry_messages(outcome: Outcome) -> Iterator[Message]:
    """Write the entries of a posted outcome, each under its account's key."""
    return _entry_messages(outcome, _Shared.of(outcome))


def messages(outcome: Outcome) -> tuple[Message, Iterator[Message]]:
    """Write both, for less than each by itself."""
    shared = _Shared.of(outcome)
    return _outcome_message(outcome, shared), _entry_messages(outcome, shared)


# Written by hand: a dictionary for each of three records costs as much as deciding the event. Ids, types, tenants,
# accounts and assets have no character that JSON would escape; whatever else is text goes through orjson.


class _Shared(NamedTuple):
    """What an outcome and its entries have in common, as JSON."""

    posted_at: str
    envelope: str
    """Its last members."""
    entries: Sequence[str]
    """The members of each entry, without brackets."""

    @classmethod
    def of(cls, outcome: Outcome) -> "_Shared":
        event, posted_at = outcome.event, _json(outcome.posted_at)
        envelope = f'"time":{posted_at},"tenant":"{event.tenant}","datacontenttype":"application/json"'
        if event.correlation_id is not None:
            envelope += f',"correlationid":{_json(event.correlation_id)}'
        if event.traceparent is not None:
            envelope += f',"traceparent":{_json(event.traceparent)}'
        return cls(posted_at, envelope, [_entry_members(entry) for entry in outcome.entries])


def _entry_members(entry: Entry) -> str:
    return (
        f'"account":"{entry.account}","asset":"{entry.asset}","amount":{entry.amount},'
        f'"version":{entry.version},"balance":{entry.balance},'
        f'"posted_debits":{entry.posted_debits},"posted_credits":{entry.posted_credits}'
    )


def _outcome_message(outcome: Outcome, shared: _Shared) -> Message:
    event = outcome.event
    value = (
        f'{{"specversion":"1.0","id":"{event.id}","source":"{SOURCE}","type":"{_OUTCOME_TYPES[outcome.kind]}",'
        f'{shared.envelope},"data":{{"event_id":"{event.id}","event_type":"{event.type}",'
        f'{_outcome_members(outcome, shared)}"posted_at":{shared.posted_at}}}}}'
    )
    return Message(event.key, value.encode(), (CONTENT_TYPE, (FINGERPRINT, event.fingerprint)))


def _outcome_members(outcome: Outcome, shared: _Shared) -> str:
    members = ""
    if outcome.transaction is not None:
        members += f'"transaction":"{outcome.transaction}",'
    if outcome.entries:
        members += f'"entries":[{{{"},{".join(shared.entries)}}}],'
    if outcome.hold is not None:
        members += f'"hold":{_json(msgspec.structs.asdict(outcome.hold))},'
    if outcome.payment is not None:
        members += f'"payment":{_json(msgspec.structs.asdict(outcome.payment))},'
    if outcome.reason is not None:
        members += f'"reason":"{outcome.reason.value}",'
    if outcome.detail is not None:
        members += f'"detail":{_json(outcome.detail)},'
    return members


def _entry_messages(outcome: Outcome, shared: _Shared) -> Iterator[Message]:
    tenant, transaction, posted_at = outcome.event.tenant, outcome.transaction, shared.posted_at
    at_once = outcome.effective_at is outcome.posted_at
    effective_at = posted_at if at_once else _json(outcome.effective_at)
    for index, (entry, members) in enumerate(zip(outcome.entries, shared.entries, strict=True)):
        value = (
            f'{{"specversion":"1.0","id":"{transaction}/{index}","source":"{SOURCE}","type":"entry.posted.v1",'
            f'{shared.envelope},"data":{{"transaction":"{transaction}",{members},'
            f'"normal_side":"{entry.normal_side}","posted_at":{posted_at},"effective_at":{effective_at}}}}}'
        )
        yield Message(record_key(tenant, entry.account), value.encode())


def _json(value: Any) -> str:
    return orjson.dumps(value, option=_OPTIONS).decode()


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
