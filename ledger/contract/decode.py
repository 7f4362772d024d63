"""From the bytes of a record to an event, strictly: what is not an event is said to be what it is not."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, get_args

import msgspec

from ledger.contract.dead_letter import DeadLetterReason, Header, NotAnEventError, Record, bytes_of_address
from ledger.contract.envelope import Envelope
from ledger.contract.event_types import COMMANDS, is_other_version
from ledger.contract.fingerprint import fingerprint_of
from ledger.contract.glance import transfer_of
from ledger.domain.commands import (
    Command,
    Event,
    EventId,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
)
from ledger.domain.money import asset_fault

RECORD_BYTES_MAX = 256 * 1024
ADDRESS_BYTES_MAX = 64 * 1024
"""Of a record's key and headers together: outcomes go out under the key of their event."""
METADATA_DEPTH_MAX = 32
TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# The decoder tells of a pattern by the pattern alone; an id that is none is told in words.
_NO_ID = re.compile(
    rf"Expected `str` matching regex {re.escape(repr(get_args(EventId)[1].pattern))} - at `\$\.(\w+)`"
)
_ENDS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def _fields(*names: str) -> dict[type, tuple[str, ...]]:
    """Give, of fields of these names, those that each command has."""
    commands = set(COMMANDS.values())
    return {each: tuple(name for name in names if name in each.__struct_fields__) for each in commands}


_MOMENTS = _fields("effective_at", "expires_at", "deadline")
_TEXTS = _fields("reference", "metadata")
_envelopes = msgspec.json.Decoder(Envelope)
_one_text = lru_cache(maxsize=1024)(str)
"""Gives the text that was first of its kind: the books look all up under the names of tenants."""
_commands: dict[str, msgspec.json.Decoder[Command]] = {
    event_type: msgspec.json.Decoder(command) for event_type, command in COMMANDS.items()
}


def decode_event(
    value: bytes | None,
    *,
    topic: str | None = None,
    partition: int | None = None,
    offset: int | None = None,
    key: bytes | None = None,
    traceparent: str | None = None,
    bytes_max: int = RECORD_BYTES_MAX,
) -> Event:
    """Read one event from the value of a record; `traceparent` counts where the event has none.

    Raises NotAnEventError, and nothing else, for anything that is not an event.
    """
    given = _of_size(value, bytes_max)
    envelope, command = transfer_of(given) or _decode_strictly(given)
    fault = None if _is_bare(command) else _moment_fault(command) or _text_fault(command)
    if fault is not None:
        raise NotAnEventError(DeadLetterReason.INVALID_DATA, fault)
    return Event(
        id=envelope.id.lower(),
        tenant=_one_text(envelope.tenant),
        type=envelope.type,
        command=command,
        fingerprint=fingerprint_of(envelope.type, command),
        topic=topic,
        partition=partition,
        offset=offset,
        correlation_id=envelope.correlationid,
        traceparent=traceparent if envelope.traceparent is None else envelope.traceparent,
        key=key,
    )


def decode_record(record: Record, *, bytes_max: int = RECORD_BYTES_MAX) -> Event:
    """Read one event from a record: one whose key and headers are too large is none, whatever its value."""
    check_address(record.key, record.headers)
    return decode_event(
        record.value,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        traceparent=header_traceparent(record.headers),
        bytes_max=bytes_max,
    )


def header_traceparent(headers: Sequence[Header]) -> str | None:
    """Give the `traceparent` of a record's headers, where producers' own tracing writes it."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None and _TRACEPARENT.fullmatch(value):
            return value.decode()
    return None


def check_address(key: bytes | None, headers: Sequence[Header]) -> None:
    """Raise NotAnEventError where a record's key and headers are too large."""
    size = bytes_of_address(key, headers)
    if size > ADDRESS_BYTES_MAX:
        detail = f"{size} bytes of key and headers are more than {ADDRESS_BYTES_MAX}"
        raise NotAnEventError(DeadLetterReason.TOO_LARGE, detail)


def _of_size(value: bytes | None, bytes_max: int) -> bytes:
    if not value:
        kind = "a tombstone" if value is None else "an empty record"
        raise NotAnEventError(DeadLetterReason.MALFORMED_JSON, f"{kind} holds no event")
    if len(value) > bytes_max:
        detail = f"{len(value)} bytes are more than {bytes_max}"
        raise NotAnEventError(DeadLetterReason.TOO_LARGE, detail)
    return value


def _decode_strictly(value: bytes) -> tuple[Envelope, Command]:
    envelope = _decode_envelope(value)
    return envelope, _decode_command(envelope)


def _decode_envelope(value: bytes) -> Envelope:
    try:
        # Unread members are skipped without a look at their bytes, so the encoding is checked here.
        if not value.isascii():
            value.decode()
        return _envelopes.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _fault(value, error, DeadLetterReason.INVALID_ENVELOPE) from None


def _decode_command(envelope: Envelope) -> Command:
    decoder = _commands.get(envelope.type)
    if decoder is None:
        raise _unknown(envelope.type)
    try:
        command = decoder.decode(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _fault(bytes(envelope.data), error, DeadLetterReason.INVALID_DATA) from None
    fault = _asset_fault(command)
    if fault is not None:
        raise NotAnEventError(DeadLetterReason.INVALID_DATA, fault)
    return command


def _unknown(event_type: str) -> NotAnEventError:
    if is_other_version(event_type):
        return NotAnEventError(DeadLetterReason.UNSUPPORTED_VERSION, f"type {event_type!r}: speak v1")
    return NotAnEventError(DeadLetterReason.UNKNOWN_TYPE, f"type {event_type!r} is not known")


def _fault(value: bytes, error: Exception, otherwise: DeadLetterReason) -> NotAnEventError:
    """Tell bytes that are no JSON from JSON of the wrong shape: the decoder stops at the first of either."""
    if isinstance(error, UnicodeDecodeError):
        return NotAnEventError(DeadLetterReason.MALFORMED_JSON, "the record is not UTF-8")
    if isinstance(error, RecursionError):
        return NotAnEventError(DeadLetterReason.MALFORMED_JSON, "the record is nested too deeply")
    malformed = _json_fault(value)
    if malformed is not None:
        return NotAnEventError(DeadLetterReason.MALFORMED_JSON, malformed)
    return NotAnEventError(otherwise, _NO_ID.sub(r"\1 is no UUIDv7", str(error)))


def _json_fault(value: bytes) -> str | None:
    try:
        msgspec.json.decode(value)
    except msgspec.ValidationError:
        return None  # JSON, with a number that nothing here can hold
    except RecursionError:
        return "the record is nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    return None


def _asset_fault(command: Command) -> str | None:
    match command:
        case PostTransfer() | PlaceHold() | RequestPayment():
            return asset_fault(command.asset)
        case PostTransaction():
            faults = (asset_fault(line.asset) for line in command.entries)
            return next((found for found in faults if found), None)
    return None


def _is_bare(command: Command) -> bool:
    """Tell whether this is a transfer without any text or moment that must fit into a store; most are."""
    return (
        isinstance(command, PostTransfer)
        and command.reference is msgspec.UNSET
        and command.effective_at is msgspec.UNSET
        and command.metadata is msgspec.UNSET
    )


def _moment_fault(command: Command) -> str | None:
    """Either end of the calendar: an offset may lead beyond it, and the very ends stand for infinity in a store."""
    for name in _MOMENTS[type(command)]:
        moment = getattr(command, name)
        if isinstance(moment, datetime) and _is_beyond_store(moment):
            return f"{name} is not between the years 1 and 9999 in UTC"
    return None


def _is_beyond_store(moment: datetime) -> bool:
    try:
        return moment.astimezone(UTC) in _ENDS
    except OverflowError:
        return True


def _text_fault(command: Command) -> str | None:
    """PostgreSQL's text and jsonb cannot hold U+0000, and what is stored must come back as it came."""
    for name in _TEXTS[type(command)]:
        text = getattr(command, name)
        if isinstance(text, str) and "\x00" in text:
            return f"{name} holds U+0000"
        if isinstance(text, dict):
            return _metadata_fault(text)
    return None


def _metadata_fault(metadata: dict[str, Any]) -> str | None:
    for depth, text in _texts(metadata, 1):
        if depth > METADATA_DEPTH_MAX:
            return f"metadata is nested deeper than {METADATA_DEPTH_MAX}"
        if "\x00" in text:
            return "metadata holds U+0000"
    return None


def _texts(value: Any, depth: int) -> Iterator[tuple[int, str]]:
    """Walk every string in `value`; an empty one stands for each level, so that depth is always seen."""
    if isinstance(value, str):
        yield depth, value
    elif isinstance(value, dict | list):
        yield depth, ""
        if depth <= METADATA_DEPTH_MAX:
            members = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            for member in members:
                yield from _texts(member, depth + 1)
