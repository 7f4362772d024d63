"""The checker reads records on its own, and comes to what the ledger comes to, whatever the bytes."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.domain.money import ISO_4217_SCALES
from loadtests.chaos.checker.assets import SCALES
from loadtests.chaos.checker.events import EVENT_TYPES, Event, Letter, content_of, read_record
from tests.builders import body, encoded
from tests.random_events import random_command

PIECES = (
    b'"',
    b"{",
    b"1",
    b"\\u0000",
    b"\\ud800",
    b"e5",
    b".0",
    b"null",
    b",",
    b"NaN",
    b"\xff",
    b"\x00",
    b"9" * 30,
)
STRANGE = (
    None,
    b"",
    b"[]",
    b"null",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"id":' + b"9" * 5000 + b"}",
    b"x" * 300_000,
)


def theirs(value: bytes | None) -> str | tuple[str, str, str]:
    try:
        event = decode_event(value)
    except NotAnEventError as fault:
        return fault.reason.value
    return event.id, event.tenant, event.type


def ours(value: bytes | None) -> str | tuple[str, str, str]:
    found = read_record(value)
    return found.reason if isinstance(found, Letter) else (found.id, found.tenant, found.type)


def spoilt(chance: Random) -> bytes:
    """Make an event, and change a byte or two of most."""
    event_type, data = random_command(chance, [(1, "hold.place.v1"), (2, "transfer.post.v1")])
    value = bytearray(encoded(body(event_type, data, name=chance.random())))
    for _ in range(chance.choice([0, 1, 1, 2])):
        at = chance.randrange(len(value))
        what = chance.random()
        if what < 0.3:
            value[at] = chance.randrange(256)
        elif what < 0.5:
            del value[at]
        else:
            value[at:at] = chance.choice(PIECES)
    return bytes(value)


@pytest.mark.parametrize("seed", range(5))
def test_both_read_the_same(seed: int) -> None:
    chance = Random(seed)
    records = [spoilt(chance) for _ in range(400)]
    assert [(value, ours(value)) for value in records] == [(value, theirs(value)) for value in records]


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: str(value)[:12])
def test_both_read_strange_bytes_alike(value: bytes | None) -> None:
    assert ours(value) == theirs(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read(value: bytes) -> None:
    assert ours(value) == theirs(value)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(scalars, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=8)


@given(anything, st.sampled_from(EVENT_TYPES))
def test_any_data_is_read(data: Any, event_type: str) -> None:
    value = json.dumps(body(event_type, data)).encode()
    assert ours(value) == theirs(value)


def test_large_keys_and_headers_are_no_event() -> None:
    value = encoded(body())
    assert read_record(value, b"k" * 70_000) == Letter("too_large")
    assert read_record(value, b"k", [("h", b"v" * 70_000)]) == Letter("too_large")
    assert isinstance(read_record(value, b"k", [("h", None)]), Event)


def test_content_knows_defaults_and_the_order_of_members() -> None:
    one = {"account": "ann", "normal_side": "credit", "overdraft": 0}
    assert content_of("account.open.v1", one) == content_of("account.open.v1", {"account": "ann"})
    assert content_of("account.open.v1", {**one, "overdraft": 1}) != content_of("account.open.v1", one)
    given = {"hold": "h", "final": True, "amount": 5}
    assert content_of("hold.capture.v1", given) == content_of("hold.capture.v1", {"amount": 5, "hold": "h"})


def test_scales_are_those_of_the_standard() -> None:
    assert SCALES == ISO_4217_SCALES
