"""Decoding: what an event is, and what each thing is that is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.contract.dead_letter import DeadLetterReason, Header, NotAnEventError, Record
from ledger.contract.decode import METADATA_DEPTH_MAX, RECORD_BYTES_MAX, decode_event, decode_record
from ledger.contract.event_types import COMMANDS
from ledger.contract.examples import incoming_example
from ledger.domain.commands import PostTransfer
from tests.builders import TRANSFER, body, encoded, event, event_id

TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
V4 = "f47ac10b-58cc-4372-a567-0e02b2c3d479"


def refusal(value: bytes | None) -> NotAnEventError:
    with pytest.raises(NotAnEventError) as caught:
        decode_event(value)
    return caught.value


def reason(value: bytes | None) -> str:
    return refusal(value).reason.value


def with_member(text: str) -> bytes:
    """Put a member, as raw text, behind the others of the envelope."""
    return encoded(body())[:-1] + b", " + text.encode("utf-8", "surrogatepass") + b"}"


def with_data(text: str) -> bytes:
    """Put a member, as raw text, into the data; the last of two of one name counts."""
    return encoded(body()).replace(b'"asset": "USD/2"', b'"asset": "USD/2", ' + text.encode())


def with_amount(text: str) -> bytes:
    return encoded(body()).replace(b'"amount": 1000', f'"amount": {text}'.encode())


def nested(depth: int) -> str:
    return '{"a": ' * depth + "1" + "}" * depth


# What an event is


@pytest.mark.parametrize("event_type", COMMANDS)
def test_each_type_decodes_its_command(event_type: str) -> None:
    decoded = decode_event(encoded(incoming_example(event_type)))
    assert type(decoded.command) is COMMANDS[event_type]


def test_event_remembers_where_it_was_read() -> None:
    decoded = decode_event(encoded(body()), partition=3, offset=17, key=b"acme/ann")
    assert (decoded.partition, decoded.offset, decoded.key) == (3, 17, b"acme/ann")


def test_tracing_attributes_are_kept() -> None:
    decoded = event(correlationid="order-17", traceparent="00-1-2-01")
    assert (decoded.correlation_id, decoded.traceparent) == ("order-17", "00-1-2-01")


@pytest.mark.parametrize(
    ("headers", "own", "found"),
    [
        ((("traceparent", TRACED.encode()),), None, TRACED),
        ((("content-type", b"x"), ("traceparent", TRACED.encode())), "of the event", "of the event"),
        ((("traceparent", b"00-1-2-01"), ("traceparent", None), ("x", TRACED.encode())), None, None),
    ],
)
def test_a_header_tells_the_trace_of_an_event_that_does_not(
    headers: tuple[Header, ...], own: str | None, found: str | None
) -> None:
    value = encoded(body(traceparent=own))
    record = Record(topic="payments", partition=0, offset=1, key=None, value=value, headers=headers)
    assert decode_record(record).traceparent == found


def test_unknown_attributes_of_the_envelope_pass() -> None:
    assert event(subject="x", dataschema="y", anything={"at": ["all"]}).tenant == "acme"


def test_upper_case_id_becomes_lower() -> None:
    assert event(id=event_id().upper()).id == event_id()


@pytest.mark.parametrize(
    "attribute",
    [
        '"x": "\\ud83d\\ude00"',
        '"x": 1e999',
        '"x": ' + "9" * 9000,
        '"time": null',
        '"time": "2026-11-21T10:00:00+14:00"',
    ],
)
def test_envelope_is_lenient_about(attribute: str) -> None:
    assert decode_event(with_member(attribute)).id == event_id()


@pytest.mark.parametrize("amount", ["0", "-0", "-1", str(2**63), "1" + "0" * 30, "9" * 4300])
def test_integer_out_of_range_is_left_to_the_ladder(amount: str) -> None:
    command = decode_event(with_amount(amount)).command
    assert isinstance(command, PostTransfer)
    assert command.amount == int(amount)


def test_metadata_may_nest_to_the_limit() -> None:
    decoded = decode_event(with_data(f'"metadata": {nested(METADATA_DEPTH_MAX - 1)}'))
    assert isinstance(decoded.command, PostTransfer)


# What is no event


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"   ",
        b"hello",
        b"{",
        b"\xef\xbb\xbf" + encoded(body()),
        encoded(body()) + b"x",
        encoded(body()) + encoded(body()),
        encoded(body()).decode().encode("utf-16"),
        b"\x00\x00\x00\x00\x01" + encoded(body()),
        with_member('"x": NaN'),
        with_member('"x": -Infinity'),
        with_member('"x": 01'),
        with_member('"x": "\\x41"'),
        with_member('"x": "\x01"'),
        with_member("'x': 1"),
        with_member('"x": 1,'),
        with_member('"x": /* why */ 1'),
        with_member('"x": "\ud800"'),
        with_member('"correlationid": "\\ud800"'),
        with_member('"x": ?').replace(b"?", b'"\xff"'),
        with_member('"source": ?').replace(b"?", b'"\xff"'),
        with_member('"x": ' + "[" * 100_000),
        with_member('"x": ' + "[" * 100_000 + "]" * 100_000),
        with_amount("NaN"),
        with_amount("Infinity"),
        with_amount("01"),
        with_data('"reference": ?').replace(b"?", b'"\xff"'),
        with_data('"reference": "\\udc00"'),
        with_data('"metadata": {"a": "\\ud800"}'),
        with_data('"\\ud800": 1'),
        with_data(f'"metadata": {nested(100_000)}')[:RECORD_BYTES_MAX],
    ],
)
def test_malformed_json(value: bytes | None) -> None:
    assert reason(value) == "malformed_json"


@pytest.mark.parametrize(
    "value",
    [
        b"null",
        b"[]",
        b"5",
        b'"event"',
        b"{}",
        b"[" + encoded(body()) + b"]",
        encoded(body(specversion="0.3")),
        encoded(body(specversion=1.0)),
        encoded(body(id=V4)),
        encoded(body(id=event_id() + "\n")),
        encoded(body(id=event_id().replace("-", ""))),
        encoded(body(id="{" + event_id() + "}")),
        encoded(body(id=17)),
        encoded(body(source="")),
        encoded(body(time="yesterday")),
        encoded(body(time="2026-11-21T10:00:00")),
        encoded(body(time=1_763_719_200)),
        encoded(body(tenant="Acme")),
        encoded(body(tenant="")),
        encoded(body(tenant="-acme")),
        encoded(body(tenant="acme\n")),
        encoded(body(tenant="a" * 64)),
        encoded(body(correlationid=7)),
        encoded(body(traceparent="0" * 257)),
        encoded({key: value for key, value in body().items() if key != "tenant"}),
        encoded({key: value for key, value in body().items() if key != "data"}),
        encoded({key: value for key, value in body().items() if key != "id"}),
    ],
)
def test_invalid_envelope(value: bytes) -> None:
    assert reason(value) == "invalid_envelope"


@pytest.mark.parametrize(
    "event_type",
    ["transfer.post", "transfer.post.V1", "transfers.post.v1", "Transfer.post.v1", "x", "v1", "ü"],
)
def test_unknown_type(event_type: str) -> None:
    assert reason(encoded(body(event_type))) == "unknown_type"


@pytest.mark.parametrize("event_type", ["transfer.post.v2", "hold.place.v0", "account.open.v10"])
def test_unsupported_version(event_type: str) -> None:
    assert reason(encoded(body(event_type))) == "unsupported_version"


def transfer_with(**members: Any) -> bytes:
    return encoded(
        body(data={key: value for key, value in (TRANSFER | members).items() if value is not None})
    )


@pytest.mark.parametrize(
    "value",
    [
        with_amount("1.0"),
        with_amount("1e3"),
        with_amount("1e400"),
        with_amount("true"),
        with_amount("null"),
        with_amount('"5"'),
        with_amount("[5]"),
        with_amount("9" * 5000),
        encoded(body(data=[])),
        encoded(body(data="{}")),
        encoded(body() | {"data": None}),
        encoded(body(data={})),
        transfer_with(debit=None),
        transfer_with(debit=""),
        transfer_with(debit="ann\n"),
        transfer_with(debit="änn"),
        transfer_with(debit="a/b"),
        transfer_with(debit="a" * 129),
        transfer_with(asset="USD"),
        transfer_with(asset="usd/2"),
        transfer_with(asset="USD/2\n"),
        transfer_with(asset="JPY/2"),
        transfer_with(asset="USD/3"),
        transfer_with(asset="BTC/100"),
        transfer_with(reference=""),
        transfer_with(reference="r" * 257),
        transfer_with(reference="a\x00b"),
        transfer_with(effective_at="2026-11-21T10:00:00"),
        transfer_with(effective_at=1_763_719_200),
        transfer_with(metadata=[1]),
        transfer_with(metadata={"a": ["\x00"]}),
        transfer_with(metadata={"a": {"\x00": 1}}),
        transfer_with(fee=1),
        with_data('"metadata": null'),
        with_data('"metadata": {"a": 1e999}'),
        with_data(f'"metadata": {{"a": {"9" * 5000}}}'),
        with_data(f'"metadata": {nested(METADATA_DEPTH_MAX + 1)}'),
        with_data(f'"metadata": {{"a": {"[" * METADATA_DEPTH_MAX + "]" * METADATA_DEPTH_MAX}}}'),
        encoded(body("account.open.v1", {"account": "a", "overdraft": -1})),
        encoded(body("account.open.v1", {"account": "a", "overdraft": 2**63})),
        encoded(body("account.open.v1", {"account": "a", "overdraft": True})),
        encoded(body("account.open.v1", {"account": "a", "overdraft": "much"})),
        encoded(body("account.open.v1", {"account": "a", "normal_side": "left"})),
        encoded(body("transaction.post.v1", {"entries": []})),
        encoded(body("transaction.post.v1", {"entries": [{"account": "a", "asset": "USD/2", "amount": 1}]})),
        encoded(
            body("transaction.post.v1", {"entries": [{"account": "a", "asset": "JPY/2", "amount": 1}] * 2})
        ),
        encoded(
            body("transaction.post.v1", {"entries": [{"account": "a", "asset": "USD/2", "amount": 1}] * 101})
        ),
        encoded(
            body(
                "transaction.post.v1",
                {"entries": [{"account": "a", "asset": "USD/2", "amount": 1, "x": 1}] * 2},
            )
        ),
        encoded(body("transaction.reverse.v1", {"transaction": V4})),
        encoded(body("hold.capture.v1", {"hold": event_id(), "final": 1})),
        encoded(body("hold.place.v1", TRANSFER | {"metadata": {}})),
        encoded(body("hold.void.v1", {"hold": event_id(), "amount": 1})),
    ],
)
def test_invalid_data(value: bytes) -> None:
    assert reason(value) == "invalid_data"


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+00:01",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ],
)
@pytest.mark.parametrize(
    ("event_type", "member"), [("transfer.post.v1", "effective_at"), ("hold.place.v1", "expires_at")]
)
def test_moment_beyond_utc_is_invalid(event_type: str, member: str, moment: str) -> None:
    assert reason(encoded(body(event_type, TRANSFER | {member: moment}))) == "invalid_data"


def test_too_large() -> None:
    value = encoded(body(padding="x" * RECORD_BYTES_MAX))
    assert reason(value) == "too_large"


def test_as_large_as_may_be() -> None:
    value = encoded(body()).ljust(RECORD_BYTES_MAX)
    assert decode_event(value).id == event_id()


# Of several faults the first of the closed list is told


@pytest.mark.parametrize(
    ("value", "first"),
    [
        (b"{" * (RECORD_BYTES_MAX + 1), "too_large"),
        (encoded(body(id=17)) + b"x", "malformed_json"),
        (encoded(body(id=17, type="x")), "invalid_envelope"),
        (encoded(body("x", {})), "unknown_type"),
        (encoded(body("transfer.post.v2", {})), "unsupported_version"),
    ],
)
def test_first_fault_is_told(value: bytes, first: str) -> None:
    assert reason(value) == first


def test_detail_names_the_member() -> None:
    assert "$.amount" in refusal(with_amount("1.0")).detail


def test_id_that_is_none_is_told_in_words() -> None:
    assert refusal(encoded(body(id="order-17"))).detail == "id is no UUIDv7"


def test_detail_can_be_stored() -> None:
    assert "\x00" not in refusal(with_data('"a\\u0000b": 1')).detail


def test_detail_is_short() -> None:
    assert len(refusal(transfer_with(**{"x" * 5000: 1})).detail) <= 500


# Nothing else is raised


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(value: bytes) -> None:
    assert reason(value) in set(DeadLetterReason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def attempt(value: bytes) -> str:
    try:
        return decode_event(value).type
    except NotAnEventError as error:
        return error.reason.value


@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_random_members_raise_nothing_else(event_type: str, data: st.DataObject) -> None:
    example = incoming_example(event_type)
    members = data.draw(st.dictionaries(st.sampled_from([*example["data"], "metadata", "final"]), JSON))
    attributes = data.draw(st.dictionaries(st.sampled_from([*example, "time", "x"]), JSON, max_size=1))
    value = {**example, "data": {**example["data"], **members}, **attributes}
    assert attempt(json.dumps(value).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_damaged_bytes_raise_nothing_else(event_type: str, data: st.DataObject) -> None:
    value = bytearray(encoded(incoming_example(event_type)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(value)))
        length = data.draw(st.integers(0, 6))
        value[start : start + length] = data.draw(st.binary(max_size=6))
    assert attempt(bytes(value))
