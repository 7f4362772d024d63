"""Event ids: UUIDv7 (RFC 9562), written in lower case, whose first 48 bits are a time in milliseconds."""

import hashlib
import re

_FORM = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def has_id_form(text: str) -> bool:
    """Tell whether a text is written as ids are, in either case: other ways to write a UUID are not."""
    return _FORM.fullmatch(text) is not None


def time_ms_of(event_id: str) -> int:
    """Read the milliseconds since 1970 that a UUIDv7 begins with."""
    return int(event_id[:8] + event_id[9:13], 16)


def first_text_of(time_ms: int) -> str:
    """Give a text that no id of an earlier millisecond reaches, and every id of this one or a later one does."""
    stamp = f"{max(0, time_ms):012x}"
    return f"{stamp[:8]}-{stamp[8:]}"


def derived_id(time_ms: int, *parts: str) -> str:
    """Derive a UUIDv7 that is the same whenever its time and parts are: what repeats it, repeats nothing."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=10).hexdigest()
    stamp = f"{time_ms:012x}"
    variant = f"{8 + int(digest[3], 16) % 4:x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{digest[:3]}-{variant}{digest[4:7]}-{digest[7:19]}"
