"""JSON Schemas (2020-12) of what goes in and out, made from the types that the code itself decodes and writes."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ledger.contract.dead_letter import DeadLetterReason
from ledger.contract.envelope import Envelope
from ledger.contract.event_types import COMMANDS
from ledger.domain.account import NormalSide
from ledger.domain.commands import AccountCode, AssetCode, EventId
from ledger.domain.payments.saga import State
from ledger.domain.rejection import Reason

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OUTCOME_TYPES = ("event.posted.v1", "event.rejected.v1", "event.duplicate.v1")
ENTRY_TYPE = "entry.posted.v1"
DEAD_LETTER_HEADERS = "dead-letter.headers.v1"

_ENTRY_ID = r"^[0-9a-f-]{36}/[0-9]{1,2}$"
_Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, UTC")]
_Positive = Annotated[int, Meta(ge=1)]
_Total = Annotated[int, Meta(ge=0, description="minor units")]
_Minor = Annotated[int, Meta(description="minor units")]


class EntryData(msgspec.Struct):
    """One line of a posted transaction, with the account's running state after it."""

    account: AccountCode
    asset: AssetCode
    amount: Annotated[int, Meta(description="minor units: + credits, - debits")]
    version: Annotated[int, Meta(ge=1, description="1, 2, 3 … per account and asset, without gaps")]
    balance: _Minor
    posted_debits: _Total
    posted_credits: _Total


class PostedEntryData(EntryData, kw_only=True):
    """An entry with its transaction and times."""

    transaction: EventId
    normal_side: Annotated[NormalSide, Meta(description="which way the account's balance counts")]
    posted_at: _Moment
    effective_at: _Moment


class HoldData(msgspec.Struct):
    """A hold: amount = captured + released + left, in minor units."""

    hold: EventId
    state: Literal["open", "captured", "voided", "expired"]
    amount: _Positive
    captured: _Total
    released: _Total
    left: _Total


class PaymentData(msgspec.Struct):
    """A payment, and where it is."""

    id: EventId
    state: State


class OutcomeData(msgspec.Struct):
    """What became of one event."""

    event_id: EventId
    event_type: str
    posted_at: _Moment
    transaction: EventId | UnsetType = UNSET
    entries: list[EntryData] | UnsetType = UNSET
    hold: HoldData | UnsetType = UNSET
    payment: PaymentData | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    detail: str | UnsetType = UNSET


def all_schemas() -> dict[str, Schema]:
    """Give every schema by its name: the type of the event, or `dead-letter.headers.v1`."""
    incoming = {name: _incoming(name, command) for name, command in COMMANDS.items()}
    outcomes = {name: _outgoing(name, OutcomeData, _outcome_id()) for name in OUTCOME_TYPES}
    outcomes["event.rejected.v1"]["properties"]["data"]["required"] += ["reason", "detail"]
    entry = _outgoing(ENTRY_TYPE, PostedEntryData, {"type": "string", "pattern": _ENTRY_ID})
    return {**incoming, **outcomes, ENTRY_TYPE: entry, DEAD_LETTER_HEADERS: _dead_letter_headers()}


def _incoming(name: str, command: type) -> Schema:
    envelope = schema_of(Envelope)
    properties = {**envelope["properties"], "type": {"const": name}, "data": schema_of(command)}
    return _titled(name, {**envelope, "properties": properties})


def _outgoing(name: str, data: type, event_id: Schema) -> Schema:
    incoming = schema_of(Envelope)["properties"]
    properties = {
        "specversion": {"const": "1.0"},
        "id": event_id,
        "source": {"const": "ledger"},
        "type": {"const": name},
        "time": {"type": "string", "format": "date-time"},
        "tenant": incoming["tenant"],
        "datacontenttype": {"const": "application/json"},
        "correlationid": {"type": "string"},
        "traceparent": {"type": "string"},
        "data": schema_of(data),
    }
    required = [key for key in properties if key not in ("correlationid", "traceparent")]
    return _titled(name, {"type": "object", "properties": properties, "required": required})


def _outcome_id() -> Schema:
    return {**schema_of(Envelope)["properties"]["id"], "description": "the id of the event that came in"}


def _dead_letter_headers() -> Schema:
    texts = {
        "ledger-topic": {"type": "string", "description": "where the record was read"},
        "ledger-partition": {"type": "string", "pattern": "^[0-9]+$"},
        "ledger-offset": {"type": "string", "pattern": "^[0-9]+$"},
        "ledger-reason": {"enum": [reason.value for reason in DeadLetterReason]},
        "ledger-detail": {"type": "string", "maxLength": 500},
        "ledger-time": {"type": "string", "format": "date-time"},
        "ledger-truncated": {
            "const": "true",
            "description": "too large to be handed on whole: value, and it may be key and headers, are left out here",
        },
    }
    return _titled(
        DEAD_LETTER_HEADERS,
        {
            "type": "object",
            "description": "headers added to those of the record, whose key and value stay byte for byte",
            "properties": texts,
            "required": [name for name in texts if name != "ledger-truncated"],
        },
    )


def _titled(name: str, schema: Schema) -> Schema:
    return {"$schema": DIALECT, "title": name, **{key: schema[key] for key in schema if key != "title"}}


def schema_of(of: type) -> Schema:
    """Give the schema of one type as a single tree: every definition in its place, patterns for any dialect."""
    root = msgspec.json.schema(of)
    inlined: Schema = _inline(root, root.get("$defs", {}))
    return inlined


def _inline(node: Any, definitions: dict[str, Schema]) -> Any:
    if isinstance(node, list):
        return [_inline(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = definitions[node["$ref"].rpartition("/")[2]]
        return _inline({**found, **{key: node[key] for key in node if key != "$ref"}}, definitions)
    return {
        key: value.replace(r"(?!\n)", "") if key == "pattern" else _inline(value, definitions)
        for key, value in node.items()
        if key != "$defs"
    }
