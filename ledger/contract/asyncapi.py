"""The AsyncAPI 3.0 document of the topics, made from the schemas and the examples."""

from typing import Any

from ledger.contract.event_types import COMMANDS
from ledger.contract.examples import (
    dead_letter_headers_example,
    incoming_example,
    outgoing_examples,
)
from ledger.contract.schemas import DEAD_LETTER_HEADERS, ENTRY_TYPE, OUTCOME_TYPES

Document = dict[str, Any]

_JSON = "application/cloudevents+json"
_KEY = {
    "type": "string",
    "description": "UTF-8 `tenant/account`; it gives order per account (partitioner: murmur2)",
    "examples": ["acme/customer:ann"],
}


def asyncapi_document() -> Document:
    """Describe the topics, who sends and receives on them, and each message with an example."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ledger events",
            "version": "1.0.0",
            "description": (
                "One Kafka record is one CloudEvents 1.0 event in JSON structured mode. Adding is free; "
                "changing or removing takes a new version of a type beside the old one."
            ),
        },
        "defaultContentType": _JSON,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _channels() -> Document:
    return {
        "payments": _channel(
            "payments", "Events in. The money is right for any key or none.", list(COMMANDS)
        ),
        "outcomes": _channel(
            "ledger.outcomes",
            "One outcome for each event handled, under the key it came with. At least once.",
            list(OUTCOME_TYPES),
        ),
        "entries": _channel(
            "ledger.entries",
            "One event for each entry of a posted transaction, under its account's key. At least once.",
            [ENTRY_TYPE],
        ),
        "deadLetters": _channel(
            "ledger.dead-letters",
            "Records that cannot be events, byte for byte, under the key they came with.",
            ["dead-letter"],
        ),
    }


def _channel(address: str, description: str, messages: list[str]) -> Document:
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topic": address, "bindingVersion": "0.5.0"}},
    }


def _operations() -> Document:
    return {
        "handleEvents": _operation("receive", "payments", "The ledger decides each event once."),
        "publishOutcomes": _operation("send", "outcomes", "What became of each event."),
        "publishEntries": _operation("send", "entries", "What was posted, entry by entry."),
        "publishDeadLetters": _operation("send", "deadLetters", "What could not be read."),
    }


def _operation(action: str, channel: str, summary: str) -> Document:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _messages() -> Document:
    incoming = {name: _message(name, incoming_example(name)) for name in COMMANDS}
    outgoing = {name: _message(name, example) for name, example in outgoing_examples().items()}
    return {**incoming, **outgoing, "dead-letter": _dead_letter()}


def _message(name: str, example: Document) -> Document:
    return {
        "name": name,
        "contentType": _JSON,
        "payload": {"$ref": f"./schemas/{name}.json"},
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": "0.5.0"}},
        "examples": [{"payload": example}],
    }


def _dead_letter() -> Document:
    return {
        "name": "dead-letter",
        "contentType": "application/octet-stream",
        "summary": "A record as it came; where it came from and why stand in its headers.",
        "headers": {"$ref": f"./schemas/{DEAD_LETTER_HEADERS}.json"},
        "payload": {"description": "any bytes, or none"},
        "bindings": {"kafka": {"key": {"description": "any bytes, or none"}, "bindingVersion": "0.5.0"}},
        "examples": [{"headers": dead_letter_headers_example(), "payload": "{"}],
    }
