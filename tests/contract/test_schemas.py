"""The published schemas and the AsyncAPI document: made from the code, and true."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ledger.contract.asyncapi import asyncapi_document
from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.contract.event_types import COMMANDS
from ledger.contract.examples import dead_letter_headers_example, incoming_example, outgoing_examples
from ledger.contract.schemas import DEAD_LETTER_HEADERS, all_schemas
from ledger.domain.money import AMOUNT_MAX
from tests.builders import encoded
from tests.contract.publish import documents

DOCS = Path(__file__).parents[2] / "docs"
CHECKERS = {
    name: Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for name, schema in all_schemas().items()
}
DOCUMENT = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))


def test_committed_documents_are_current() -> None:
    committed = {name: (DOCS / name).read_text(encoding="utf-8") for name in documents()}
    assert committed == documents(), "run `make schemas`"


def test_no_schema_is_left_over() -> None:
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} < set(documents())


@pytest.mark.parametrize("name", all_schemas())
def test_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(all_schemas()[name])


def test_patterns_are_of_any_dialect() -> None:
    assert "(?!" not in json.dumps(all_schemas())


# The AsyncAPI document


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from references(each)


def resolve(reference: str) -> Any:
    if reference.startswith("./"):
        return json.loads((DOCS / reference).read_text(encoding="utf-8"))
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_every_reference_leads_somewhere() -> None:
    assert all(resolve(reference) for reference in references(DOCUMENT))


def test_document_is_asyncapi_3() -> None:
    assert (DOCUMENT["asyncapi"], set(DOCUMENT["info"])) == ("3.0.0", {"title", "version", "description"})


def test_channels_are_the_topics() -> None:
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == {
        "payments",
        "ledger.outcomes",
        "ledger.entries",
        "ledger.dead-letters",
    }


def test_each_channel_has_an_operation() -> None:
    used = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    assert used == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


def test_operations_send_or_receive() -> None:
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send", "receive"}


def test_each_message_is_on_a_channel() -> None:
    carried = set(references(DOCUMENT["channels"]))
    assert carried == {f"#/components/messages/{name}" for name in DOCUMENT["components"]["messages"]}


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_message_has_key_payload_and_example(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    assert message["bindings"]["kafka"]["key"]["description"]
    assert {"name", "contentType", "payload", "examples"} <= set(message)


@pytest.mark.parametrize("name", [name for name in all_schemas() if name != DEAD_LETTER_HEADERS])
def test_example_keeps_its_schema(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    validator = Draft202012Validator(resolve(message["payload"]["$ref"]))
    assert [error.message for error in validator.iter_errors(message["examples"][0]["payload"])] == []


def test_dead_letter_headers_keep_their_schema() -> None:
    assert CHECKERS[DEAD_LETTER_HEADERS].is_valid(dead_letter_headers_example())


@pytest.mark.parametrize("name", COMMANDS)
def test_example_of_an_incoming_event_decodes(name: str) -> None:
    example = asyncapi_document()["components"]["messages"][name]["examples"][0]["payload"]
    assert decode_event(encoded(example)).type == name


def test_every_outgoing_event_has_an_example() -> None:
    assert set(outgoing_examples()) | set(COMMANDS) | {DEAD_LETTER_HEADERS} == set(all_schemas())


# Schema and decoder judge alike, but for the range of amounts: that is the ladder's to refuse


def without_range(node: Any, name: str = "") -> Any:
    """Take the range away from every `amount`."""
    if isinstance(node, list):
        return [without_range(each) for each in node]
    if not isinstance(node, dict):
        return node
    ranged = ("minimum", "maximum", "not") if name == "amount" else ()
    return {key: without_range(value, key) for key, value in node.items() if key not in ranged}


LENIENT = {name: Draft202012Validator(without_range(all_schemas()[name])) for name in COMMANDS}

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        0,
        1,
        -1,
        2**63 - 1,
        2**63,
        10**30,
        1.5,
        True,
        None,
        [],
        [{}, {}],
        {},
        {"a": [1]},
        "",
        "a",
        "USD/2",
        "ann\n",
        "unlimited",
        "1.0",
        "debit",
        "x" * 300,
        "2026-11-21T10:00:00Z",
        "17",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "019a9e0c-8a11-7c3e-9a55-2f6d1c0b7e10",
    ]
)
EXTRA = ["metadata", "reference", "amount", "expires_at", "effective_at", "final", "overdraft", "subject"]


@st.composite
def altered_events(draw: st.DrawFn) -> dict[str, Any]:
    """An example with up to three members of its envelope or data replaced, added or taken away."""
    event = incoming_example(draw(st.sampled_from(sorted(COMMANDS))))
    event["data"] = json.loads(json.dumps(event["data"]))
    targets = [event, event["data"], *event["data"].get("entries", ())]
    for _ in range(draw(st.integers(1, 3))):
        target = draw(st.sampled_from(targets))
        name = draw(st.sampled_from([name for name in target if name not in ("type", "data")] + EXTRA))
        if draw(st.booleans()):
            target[name] = draw(ODD)
        else:
            target.pop(name, None)
    return event


def decodes(event: dict[str, Any]) -> bool:
    try:
        decode_event(encoded(event))
    except NotAnEventError:
        return False
    return True


@given(altered_events())
def test_what_decodes_keeps_the_schema(event: dict[str, Any]) -> None:
    if decodes(event):
        assert [error.message for error in LENIENT[event["type"]].iter_errors(event)] == []


@given(altered_events())
def test_what_breaks_the_schema_does_not_decode(event: dict[str, Any]) -> None:
    if not LENIENT[event["type"]].is_valid(event):
        assert not decodes(event)


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1])
def test_schema_refuses_an_amount_out_of_range(amount: int) -> None:
    event = incoming_example("transfer.post.v1")
    assert not CHECKERS["transfer.post.v1"].is_valid(event | {"data": event["data"] | {"amount": amount}})
