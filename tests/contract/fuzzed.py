"""What the decoders must do with any bytes at all, as functions that raise where one does not."""

from collections.abc import Callable, Mapping

import msgspec

from ledger.adapters.kafka.feed import read_notice
from ledger.adapters.kafka.records import FetchedRecord
from ledger.adapters.provider.wire import Reply, read_answer, read_status
from ledger.application.provider_messages import MessageRefusedError, decode_webhook
from ledger.application.providers import ChargeRequest
from ledger.contract.archive.blocks import UnreadableBlockError, unpack
from ledger.contract.archive.examining import examine
from ledger.contract.archive.manifest import DamagedManifestError, read_part
from ledger.contract.archive.segment import DamagedSegmentError, read_head, read_index
from ledger.contract.checkpoints import DamagedCheckpointError, decode_checkpoint, decode_links, decode_signed
from ledger.contract.dead_letter import DeadLetterReason, NotAnEventError
from ledger.contract.decode import RECORD_BYTES_MAX, decode_event
from ledger.contract.edit import NotEditableError, remove_member, set_member
from ledger.contract.keys import KeyChooser
from ledger.contract.outgoing import dead_letter_message
from ledger.contract.signature import SignatureRefusedError, verify_signature
from streams.agents.post_events import sort_records
from streams.windows.entries import EntryDecoder
from tests.builders import NOW, event_id

LETTER_BYTES_MAX = 1024**2
CHARGE = ChargeRequest(
    idempotency_key=f"acme:{event_id()}:charge",
    payment=event_id(),
    tenant="acme",
    amount=70,
    asset="USD/2",
    account="shop",
)


class MishandledError(Exception):
    """A record came to no end, or to two."""


def is_handled(value: bytes | None, key: bytes | None = b"acme/ann", headers: tuple[()] = ()) -> bool:
    """Have a worker take one record; says whether it is an event, and raises where it is neither or both.

    An event has a key and a fingerprint, and its command can be written as JSON and read again; a dead letter has
    a reason, and can be written to its topic, with every byte of the record.
    """
    record = record_of(value, key, headers)
    events, letters = sort_records([record], RECORD_BYTES_MAX, LETTER_BYTES_MAX)
    if len(events) + len(letters) != 1:
        raise MishandledError(f"{len(events)} events and {len(letters)} letters")
    if events:
        again = decode_event(value)
        if again.fingerprint != events[0].fingerprint:
            raise MishandledError("two fingerprints")
        msgspec.json.encode(events[0].command).decode()
        return True
    (letter,) = letters
    DeadLetterReason(letter.reason)
    letter.detail.encode()
    if letter.record.value != value and len(value or b"") <= LETTER_BYTES_MAX:
        raise MishandledError("a letter that is not its record")
    dead_letter_message(letter)
    return False


def record_of(value: bytes | None, key: bytes | None, headers: tuple[()]) -> FetchedRecord:
    sizes = len(key or b""), len(value or b"")
    return FetchedRecord("payments", 0, 7, 0, 0, key, value, None, *sizes, headers)


def _key(value: bytes) -> None:
    event = decode_event(value)
    KeyChooser().key_for(event, value)


def _edited(value: bytes) -> None:
    for path in ("data.amount", "data.entries.0.amount", "id", "0"):
        set_member(value, path, value.decode(errors="surrogateescape"))
        remove_member(value, path)


def _signed(value: bytes) -> None:
    text = value.decode("latin-1")
    headers = {"Ledger-Timestamp": text[:12], "Ledger-Signature": text}
    verify_signature([b"a secret of the tests"], headers, value, now_s=0.0)


def _window_entry(value: bytes) -> None:
    list(EntryDecoder().decode([record_of(value, value, ())]))


def _answer(value: bytes) -> None:
    for code in (200, 202, 409, 422, 429, 503):
        reply = Reply(code, value[:30].decode("latin-1"), value)
        read_answer(reply, CHARGE, NOW)
        read_status(reply, CHARGE, NOW)


def _segment(value: bytes) -> None:
    examine(value)
    read_head(value)


READERS: Mapping[str, tuple[Callable[[bytes], object], type[Exception] | tuple[type[Exception], ...]]] = {
    "keys": (_key, NotAnEventError),
    "edited letters": (_edited, NotEditableError),
    "signatures": (_signed, SignatureRefusedError),
    "webhooks": (decode_webhook, MessageRefusedError),
    "answers of providers": (_answer, ()),
    "entries of windows": (_window_entry, ()),
    "outcomes heard": (lambda value: read_notice(record_of(value, value, ())), ()),
    "archived blocks": (lambda value: unpack(value, "payments", 0), UnreadableBlockError),
    "archived segments": (_segment, DamagedSegmentError),
    "indexes of segments": (lambda value: read_index(value, len(value)), DamagedSegmentError),
    "parts of manifests": (read_part, DamagedManifestError),
    "signed checkpoints": (decode_signed, DamagedCheckpointError),
    "checkpoints": (decode_checkpoint, DamagedCheckpointError),
    "links of checkpoints": (decode_links, DamagedCheckpointError),
}
"""Whatever else reads what comes from outside, with the one kind of fault that may come of it."""


def read(name: str, value: bytes) -> None:
    """Have one reader read; what it may raise is as good as an answer."""
    reader, refusals = READERS[name]
    try:
        reader(value)
    except refusals:
        return
