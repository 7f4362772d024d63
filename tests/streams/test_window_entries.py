"""Records of the stream of entries: decoded into windows, or told why they are none."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from streams.windows.entries import EntryDecoder, Seen, Unreadable
from streams.windows.keys import life_key, read_key, window_key
from tests.end_to_end.window_stage import entry_record
from tests.window_history import Entry, history

ENTRIES = history("acme/ann USD/2", [(100, 0), (-30, 61)])


def record(entry: Entry, key: bytes | None = b"acme/ann", /, **changes: Any) -> Any:
    written = entry_record("entries", entry)
    assert written.value is not None
    body = orjson.loads(written.value)
    for name, value in changes.items():
        (body if name in body else body["data"])[name] = value
    return SimpleNamespace(key=key, value=orjson.dumps(body), offset=7)


def decoded(*records: Any) -> list[Seen | Unreadable]:
    return list(EntryDecoder().decode(records))


def test_an_entry_is_the_window_of_itself() -> None:
    assert decoded(*(record(entry) for entry in ENTRIES)) == [
        Seen(b"acme/ann USD/2", entry.window) for entry in ENTRIES
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "entry.posted.v2"},
        {"tenant": "Acme"},
        {"tenant": "acme "},
        {"account": "ann bob"},
        {"account": ""},
        {"asset": "usd/2"},
        {"version": 0},
        {"version": "1"},
        {"amount": 1.0},
        {"balance": 101},
        {"amount": 101},
        {"version": 2**63},
        {"normal_side": "left"},
        {"posted_at": "yesterday"},
        {"posted_at": "2026-11-21T10:00:00"},
    ],
    ids=str,
)
def test_what_is_no_entry_is_told_and_raises_nothing(changes: dict[str, Any]) -> None:
    (found,) = decoded(record(ENTRIES[0], **changes))
    assert isinstance(found, Unreadable), found
    assert found.offset == 7


@pytest.mark.parametrize("key", [None, b"", b"acme/bob", b"acme/ann "])
def test_an_entry_under_another_key_would_be_looked_for_in_vain(key: bytes | None) -> None:
    assert isinstance(decoded(record(ENTRIES[0], key))[0], Unreadable)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"{}", b"null"])
def test_bytes_that_are_no_event_are_told(value: bytes | None) -> None:
    assert isinstance(decoded(SimpleNamespace(key=b"acme/ann", value=value, offset=7))[0], Unreadable)


def test_a_debit_side_account_is_the_other_way_round() -> None:
    (found,) = decoded(record(ENTRIES[0], normal_side="debit", balance=-100))
    assert isinstance(found, Seen)
    assert (found.window.closing, found.window.credits) == (-100, 100)


def test_keys_of_windows_are_read_back() -> None:
    name = life_key("acme", "ann", "USD/2")
    for size in ("1m", "1h", "1d"):
        key = window_key(name, size, 1_763_712_000)  # type: ignore[arg-type]
        assert read_key(key) == (name, size, 1_763_712_000)
    assert read_key(name) is None
