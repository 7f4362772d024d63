"""Sending lines of JSON to the topic of payments: each checked first, and named by its line when it is wrong."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from ledger.adapters.system import new_event_id
from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import RECORD_BYTES_MAX, check_address, decode_event
from ledger.contract.keys import KeyChooser
from ledger.contract.outgoing import HEADERS, Headers

FILL_HINT = "--fill supplies what is missing of specversion, id, source and time"


class Line(NamedTuple):
    """One line of input, ready to be sent, or with what is wrong with it."""

    number: int
    event_id: str | None
    key: bytes | None
    value: bytes
    fault: str | None = None

    @property
    def headers(self) -> Headers:
        return HEADERS


def read_lines(lines: Iterable[bytes], *, fill: bool, bytes_max: int = RECORD_BYTES_MAX) -> Iterator[Line]:
    """Check each line; with `fill`, supply `specversion`, `id`, `source` and `time` where they are missing."""
    chooser = KeyChooser()
    for number, text in enumerate(lines, start=1):
        if text.strip():
            line = checked_line(number, _filled(text.strip()) if fill else text.strip(), chooser, bytes_max)
            yield line if line.fault is None or fill else _hinted(line, bytes_max)


def checked_line(number: int, value: bytes, chooser: KeyChooser, bytes_max: int) -> Line:
    """Give an event with the key that it goes under, or with what is wrong with it."""
    try:
        event = decode_event(value, bytes_max=bytes_max)
        key = chooser.key_for(event, value)
        check_address(key, HEADERS)
    except NotAnEventError as fault:
        return Line(number, None, None, value, f"{fault.reason}: {fault.detail}")
    return Line(number, event.id, key, value)


def _hinted(line: Line, bytes_max: int) -> Line:
    """Say of a wrong line that it only lacks what `--fill` supplies, if that is so."""
    filled = checked_line(line.number, _filled(line.value), KeyChooser(), bytes_max)
    return line if filled.fault is not None else line._replace(fault=f"{line.fault}; {FILL_HINT}")


def _filled(text: bytes) -> bytes:
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text  # the check says what is wrong with it
    if not isinstance(event, dict):
        return text
    defaults: dict[str, Any] = {
        "specversion": "1.0",
        "id": new_event_id(),
        "source": "ledger/send",
        "time": datetime.now(UTC),
    }
    missing = {name: value for name, value in defaults.items() if name not in event}
    # Spliced in as text: what was given stays byte for byte, whatever numbers it holds.
    return b"{" + orjson.dumps(missing)[1:-1] + b"," + text.lstrip()[1:] if missing else text
