"""The first look at a record says what the strict decoder says, or nothing."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.contract import decode, glance
from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.contract.envelope import Envelope
from ledger.contract.event_types import COMMANDS
from ledger.contract.examples import incoming_example
from ledger.contract.glance import transfer_of
from ledger.domain.commands import PostTransfer
from tests.builders import TRANSFER, body, encoded, event_id
from tests.contract.hostile import kept

KEPT = dict(kept())
_ATTRIBUTES: dict[str, list[Any]] = {
    "specversion": ["0.3", 1],
    "id": [event_id().upper(), event_id() + "\n", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "order-17", 17],
    "source": ["", "x" * 1025, 1],
    "type": ["account.open.v1", "hold.place.v1", "transfer.post.v2", ""],
    "tenant": ["acme\n", "Acme", "-acme", "a" * 63, "a" * 64, "", 1],
    "time": ["2026-11-21T10:00:00Z", "2026-11-21T10:00:00", "now"],
    "traceparent": ["x", "x" * 257],
    "correlationid": ["x", "x" * 257, 1],
    "other": ["x", {"type": "transfer.post.v1"}, "é"],
    "data": [None, [], "transfer.post.v1"],
}
_MEMBERS: dict[str, list[Any]] = {
    "debit": ["ann\n", "", "a" * 128, "a" * 129, "ann ", "änn", 7],
    "credit": ["ann\n", "", "a b", 7],
    "amount": [0, -1, 2**63, 2**70, 1.5, "1", True, None],
    "asset": ["USD/2\n", "USD/3", "usd/2", "XTS/7", "USD", "USD/02", 2],
    "reference": ["", "x" * 257, "order 17", "a\u0000b", 1],
    "effective_at": ["2026-11-21T10:00:00+01:00", "0001-01-01T00:00:00+01:00", "2026-11-21T10:00:00", 1],
    "metadata": [{}, {"a": [1, {"b": "é"}]}, {"a": "\u0000"}, [], "x"],
    "other": [1],
}


def some_of(faults: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    one = st.sampled_from(sorted(faults)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(faults[name]))
    )
    return st.lists(one, max_size=2).map(dict)


def strictly(value: bytes) -> object:
    try:
        return decode._decode_strictly(value)
    except NotAnEventError:
        return None


def facts(found: Any) -> object:
    envelope, command = found
    of_envelope = [getattr(envelope, name) for name in Envelope.__struct_fields__ if name != "data"]
    return of_envelope, type(command), command


def is_no_other(value: bytes) -> bool:
    """Compare the two; gives whether the first look was enough."""
    seen = transfer_of(value)
    if seen is not None:
        assert facts(seen) == facts(strictly(value))
    return seen is not None


@given(some_of(_ATTRIBUTES), some_of(_MEMBERS), st.booleans())
@example({}, {"debit": "ann\n"}, True)
@example({"data": None}, {}, True)
def test_what_is_seen_is_what_is_read(
    attributes: dict[str, Any], members: dict[str, Any], as_ascii: bool
) -> None:
    data = {"data": {**TRANSFER, **members}} | attributes
    event = {**body(), **data}
    is_no_other(json.dumps(event, ensure_ascii=as_ascii).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_seen_of_hostile_records_is_what_is_read(name: str) -> None:
    is_no_other(KEPT[name])


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"reference": "order 17"},
        {"effective_at": "2026-11-21T10:00:00+01:00"},
        {"metadata": {"channel": ["web", 7]}},
        {"amount": 0},
    ],
)
def test_transfers_that_are_right_are_seen(members: dict[str, Any]) -> None:
    assert is_no_other(encoded(body(data=TRANSFER | members)))


@pytest.mark.parametrize("event_type", sorted(COMMANDS.keys() - {"transfer.post.v1"}))
def test_nothing_else_is_seen(event_type: str) -> None:
    assert not is_no_other(encoded(incoming_example(event_type)))


@pytest.mark.parametrize(
    "first",
    ["id", "tenant", "debit", "credit", "asset", r"\u0069d", r"t\u0065nant", r"d\u0065bit", r"\u0061sset"],
)
def test_names_that_come_twice_are_not_seen(first: str) -> None:
    """The strict decoder refuses a wrong one, though a right one comes behind it."""
    right = encoded(body())
    for before in (b'"id"', b'"debit"'):
        assert not is_no_other(right.replace(before, f'"{first}": "- ", '.encode() + before))


def test_the_last_of_two_members_counts() -> None:
    right = encoded(body())
    again = right[:-1] + b', "data": ' + encoded(TRANSFER | {"amount": 7}) + b"}"
    assert not is_no_other(again)
    assert decode_event(again).command == PostTransfer("external:bank", "ann", 7, "USD/2")


def test_what_is_too_long_to_be_a_name_is_not_remembered() -> None:
    remembered = [each.cache_info().currsize for each in (glance._account, glance._tenant, glance._asset)]
    long = "x" * 100_000
    for each in ({"debit": long}, {"credit": long}, {"asset": long}):
        assert not is_no_other(encoded(body(data=TRANSFER | each)))
    assert not is_no_other(encoded(body(tenant=long)))
    assert [
        each.cache_info().currsize for each in (glance._account, glance._tenant, glance._asset)
    ] == remembered


def test_a_name_is_one_text_for_all_transfers() -> None:
    first, second = (decode_event(encoded(body(id=event_id()))) for _ in range(2))
    assert isinstance(first.command, PostTransfer)
    assert isinstance(second.command, PostTransfer)
    assert first.tenant is second.tenant
    assert first.command.debit is second.command.debit
    assert first.command.credit is second.command.credit
    assert first.command.asset is second.command.asset


def test_a_name_that_was_seen_as_one_thing_is_not_right_as_another() -> None:
    for name in ("USD/2", "acme/x", "a" * 63):
        is_no_other(encoded(body(data=TRANSFER | {"debit": name})))
        is_no_other(encoded(body(tenant=name)))
        is_no_other(encoded(body(data=TRANSFER | {"asset": name})))
