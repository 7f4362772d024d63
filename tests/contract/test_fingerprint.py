"""Fingerprints: the same for the same content, however it is written; another for any other."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.contract.decode import decode_event
from ledger.contract.examples import DATA, incoming_example
from tests.builders import TRANSFER, body, encoded, event


def fingerprint(event_type: str, data: dict[str, Any]) -> bytes:
    return event(event_type, data).fingerprint


def shuffled(value: Any, chance: random.Random) -> Any:
    """Write the members of every object in another order."""
    if isinstance(value, dict):
        members = [(name, shuffled(member, chance)) for name, member in value.items()]
        chance.shuffle(members)
        return dict(members)
    return [shuffled(each, chance) for each in value] if isinstance(value, list) else value


METADATA = {"b": {"y": [{"q": 1, "p": 2}], "x": None}, "a": 1.5, "é": "ü", "big": 10**40}


@pytest.mark.parametrize("event_type", DATA)
def test_order_of_members_is_ignored(event_type: str) -> None:
    data = DATA[event_type]
    assert fingerprint(event_type, shuffled(data, random.Random(7))) == fingerprint(event_type, data)


@given(st.randoms(use_true_random=False))
def test_order_inside_metadata_is_ignored(chance: random.Random) -> None:
    data = TRANSFER | {"metadata": METADATA}
    assert event(data=shuffled(data, chance)).fingerprint == event(data=data).fingerprint


def test_white_space_and_escapes_are_ignored() -> None:
    data = TRANSFER | {"reference": "žluť"}
    written = json.dumps(body(data=data), indent=3, ensure_ascii=True).encode()
    assert decode_event(written).fingerprint == event(data=data).fingerprint


def test_envelope_is_ignored() -> None:
    assert event(source="elsewhere", correlationid="x").fingerprint == event().fingerprint


@pytest.mark.parametrize(
    ("event_type", "data", "default"),
    [
        ("account.open.v1", {"account": "ann"}, {"normal_side": "credit"}),
        ("account.open.v1", {"account": "ann"}, {"overdraft": 0}),
        ("account.open.v1", {"account": "external:bank"}, {"overdraft": "unlimited"}),
        ("hold.capture.v1", {"hold": DATA["hold.void.v1"]["hold"]}, {"final": True}),
    ],
)
def test_default_equals_absent(event_type: str, data: dict[str, Any], default: dict[str, Any]) -> None:
    assert fingerprint(event_type, data | default) == fingerprint(event_type, data)


@pytest.mark.parametrize(
    ("event_type", "data", "other"),
    [
        ("account.open.v1", {"account": "ann"}, {"overdraft": "unlimited"}),
        ("account.open.v1", {"account": "external:bank"}, {"overdraft": 0}),
        ("account.open.v1", {"account": "ann"}, {"metadata": {}}),
        ("transfer.post.v1", TRANSFER, {"debit": "external:bank2"}),
        ("transfer.post.v1", TRANSFER, {"credit": "bob"}),
        ("transfer.post.v1", TRANSFER, {"amount": 1001}),
        ("transfer.post.v1", TRANSFER, {"amount": 10**30}),
        ("transfer.post.v1", TRANSFER, {"asset": "EUR/2"}),
        ("transfer.post.v1", TRANSFER, {"reference": "r"}),
        ("transfer.post.v1", TRANSFER, {"effective_at": "2026-11-21T10:00:00Z"}),
        ("transfer.post.v1", TRANSFER | {"metadata": {"a": 1}}, {"metadata": {"a": "1"}}),
        ("transfer.post.v1", TRANSFER | {"metadata": {"a": 1}}, {"metadata": {"a": True}}),
        ("transfer.post.v1", TRANSFER | {"metadata": {"a": 1}}, {"metadata": {"a": [1]}}),
        ("transfer.post.v1", TRANSFER | {"metadata": {"a": [1, 2]}}, {"metadata": {"a": [2, 1]}}),
        ("hold.capture.v1", {"hold": DATA["hold.void.v1"]["hold"]}, {"amount": 1}),
        ("hold.capture.v1", {"hold": DATA["hold.void.v1"]["hold"]}, {"final": False}),
    ],
)
def test_other_content_shows(event_type: str, data: dict[str, Any], other: dict[str, Any]) -> None:
    assert fingerprint(event_type, data | other) != fingerprint(event_type, data)


def test_type_is_content() -> None:
    hold = DATA["hold.void.v1"]
    assert fingerprint("hold.void.v1", hold) != fingerprint("hold.capture.v1", hold)


def test_no_two_examples_share_one() -> None:
    found = {decode_event(encoded(incoming_example(name))).fingerprint for name in DATA}
    assert (len(found), {len(each) for each in found}) == (len(DATA), {16})
