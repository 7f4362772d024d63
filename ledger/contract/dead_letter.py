"""Dead letters: records that cannot be events, kept byte for byte with the reason."""

from datetime import datetime
from enum import StrEnum

import msgspec

DETAIL_CHARACTERS_MAX = 500


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
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that cannot be an event, and why."""

    record: Record
    reason: DeadLetterReason
    detail: str
    at: datetime
