"""One example of each thing that goes in or out: they stand in the AsyncAPI document, and tests hold them true."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.decode import decode_event
from ledger.contract.outgoing import dead_letter_message, entry_messages, outcome_message
from ledger.domain.commands import Event
from ledger.domain.ids import derived_id
from ledger.domain.moments import milliseconds
from ledger.domain.outcome import Outcome
from ledger.domain.rejection import Reason
from ledger.domain.transaction import Entry

Example = dict[str, Any]

_AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
_TRANSFER = "transfer.post.v1"


def _id(name: str) -> str:
    return derived_id(milliseconds(_AT), "example", name)


DATA: Mapping[str, Example] = {
    "account.open.v1": {"account": "till:4", "normal_side": "debit", "overdraft": 5000},
    "account.close.v1": {"account": "till:4"},
    _TRANSFER: {
        "debit": "customer:ann",
        "credit": "merchant:shoes",
        "amount": 1250,
        "asset": "USD/2",
        "reference": "order-17",
    },
    "transaction.post.v1": {
        "entries": [
            {"account": "customer:ann", "asset": "USD/2", "amount": -1250},
            {"account": "merchant:shoes", "asset": "USD/2", "amount": 1200},
            {"account": "fees", "asset": "USD/2", "amount": 50},
        ],
        "effective_at": "2026-11-20T23:59:59Z",
        "metadata": {"channel": "web"},
    },
    "transaction.reverse.v1": {"transaction": _id(_TRANSFER), "amount": 250},
    "hold.place.v1": {
        "debit": "customer:ann",
        "credit": "merchant:shoes",
        "amount": 8000,
        "asset": "USD/2",
        "expires_at": "2026-11-28T10:00:00Z",
    },
    "hold.capture.v1": {"hold": _id("hold.place.v1"), "amount": 3000, "final": False},
    "hold.void.v1": {"hold": _id("hold.place.v1")},
    "payment.request.v1": {
        "debit": "customer:ann",
        "credit": "external:payouts",
        "amount": 5000,
        "asset": "USD/2",
        "provider": "bank",
        "fee": {"account": "fees", "amount": 75},
        "reference": "payout-9",
        "deadline": "2026-11-21T10:15:00Z",
    },
}


def incoming_example(event_type: str) -> Example:
    """Give one event of a type, as a producer would write it."""
    return {
        "specversion": "1.0",
        "id": _id(event_type),
        "source": "shop/checkout",
        "type": event_type,
        "time": "2026-11-21T10:00:00.000Z",
        "tenant": "acme",
        "correlationid": "order-17",
        "data": DATA[event_type],
    }


def outgoing_examples() -> dict[str, Example]:
    """Give one of each event that goes out, as the code writes it."""
    event = _event()
    posted = Outcome(
        event, "posted", _AT, transaction=event.id, entries=_entries(event.command), effective_at=_AT
    )
    refused = Outcome(
        event,
        "rejected",
        _AT,
        reason=Reason.INSUFFICIENT_FUNDS,
        detail="account customer:ann has too little USD/2 available",
    )
    written = [outcome_message(each).value for each in (posted, refused)]
    written.append(outcome_message(Outcome(event, "duplicate", _AT, transaction=event.id)).value)
    written.append(entry_messages(posted)[0].value)
    bodies = [json.loads(value or b"") for value in written]
    return {body["type"]: body for body in bodies}


def dead_letter_headers_example() -> dict[str, str]:
    """Give the headers of one dead letter, as the code writes them."""
    record = Record("payments", 0, 41, b"acme/customer:ann", b"{")
    letter = DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "Input data was truncated", _AT)
    return {name: (value or b"").decode() for name, value in dead_letter_message(letter).headers}


def _event() -> Event:
    return decode_event(json.dumps(incoming_example(_TRANSFER)).encode(), key=b"acme/customer:ann")


def _entries(command: Any) -> tuple[Entry, ...]:
    return (
        Entry(command.debit, command.asset, -command.amount, 2, 8750, command.amount, 10_000),
        Entry(command.credit, command.asset, command.amount, 1, command.amount, 0, command.amount),
    )
