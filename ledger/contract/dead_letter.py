"""Dead letters: records that cannot be events, kept byte for byte with the reason."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

DETAIL_CHARACTERS_MAX = 500

KEPT_BYTES_MAX_LEAST = 1024**2
"""No bound for what is kept of a record may be lower; so what is shorter is kept whole."""

ORIGIN = "ledger-dead-letter"
"""Header of a record that was a dead letter before and was sent again: `TOPIC/PARTITION/OFFSET` of that letter."""

Header = tuple[str, bytes | None]


class DeadLetterReason(StrEnum):
    """Why a record is not an event; of those that apply, the first is given."""

    TOO_LARGE = "too_large"
    MALFORMED_JSON = "malformed_json"
    INVALID_ENVELOPE = "invalid_envelope"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    INVALID_DATA = "invalid_data"


class NotAnEventError(Exception):
    """A record is not an event."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        # It may quote the record, and U+0000 cannot be stored as text.
        self.detail = detail[:DETAIL_CHARACTERS_MAX].replace("\x00", "\N{REPLACEMENT CHARACTER}")


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as the broker handed it over."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    """A name that is not UTF-8 has surrogate escapes in it; `name_bytes` gives what it came as."""
    timestamp_ms: int | None = None


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that cannot be an event, and why."""

    record: Record
    reason: DeadLetterReason
    detail: str
    at: datetime


def name_bytes(name: str) -> bytes:
    """Give the bytes of a header's name as they came."""
    return name.encode("utf-8", "surrogateescape")


def bytes_of_address(key: bytes | None, headers: Sequence[Header]) -> int:
    """Count the bytes of a record's key and headers."""
    size = len(key) if key is not None else 0
    for name, value in headers:
        size += len(name) if name.isascii() else len(name_bytes(name))
        size += len(value) if value is not None else 0
    return size


def cut_letter(letter: DeadLetter, bytes_max: int) -> DeadLetter:
    """Keep at most about `bytes_max` of each of value, key and headers; the detail says what was left out."""
    record, cut = letter.record, []
    value, key, headers = record.value, record.key, record.headers
    if value is not None and len(value) > bytes_max:
        cut.append(f"the first {bytes_max} of {len(value)} bytes are kept")
        value = value[:bytes_max]
    if key is not None and len(key) > bytes_max:
        cut.append(f"of the key {bytes_max} of {len(key)}")
        key = key[:bytes_max]
    if bytes_of_address(None, headers) > bytes_max:
        headers = _first_headers(headers, bytes_max)
        cut.append(f"{len(headers)} of {len(record.headers)} headers")
    if not cut:
        return letter
    kept = msgspec.structs.replace(record, value=value, key=key, headers=headers)
    return msgspec.structs.replace(letter, record=kept, detail=f"{letter.detail}; {', '.join(cut)}")


def _first_headers(headers: tuple[Header, ...], bytes_max: int) -> tuple[Header, ...]:
    size = 0
    for count, header in enumerate(headers):
        size += bytes_of_address(None, [header])
        if size > bytes_max:
            return headers[:count]
    return headers


def is_kept(value: bytes | None, kept: bytes | None) -> bool:
    """Tell whether `kept` is `value`, or as much of it as is kept of one that is too large."""
    if value is None or kept is None or len(kept) < KEPT_BYTES_MAX_LEAST:
        return value == kept
    return value.startswith(kept)


def are_kept(headers: Sequence[Header], kept: Sequence[Header]) -> bool:
    """Tell whether `kept` are `headers`, or the first of more than are kept."""
    count = len(kept)
    if tuple(headers[:count]) != tuple(kept):
        return False
    return count == len(headers) or bytes_of_address(None, headers[: count + 1]) > KEPT_BYTES_MAX_LEAST
