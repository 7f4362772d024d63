"""Events for tests, made the way producers make them: as JSON that the contract decodes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.adapters.kafka.records import FetchedRecord
from ledger.contract.decode import decode_event
from ledger.contract.outgoing import Message
from ledger.domain.commands import Event
from ledger.domain.ids import derived_id
from ledger.domain.moments import milliseconds

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
USD = "USD/2"
INT64_MAX = 2**63 - 1

TRANSFER = {"debit": "external:bank", "credit": "ann", "amount": 1000, "asset": USD}


def event_id(name: object = "e", at: datetime = NOW) -> str:
    """Derive an id from a name: the same name and time give the same id."""
    return derived_id(milliseconds(at), "test", str(name))


def body(
    event_type: str = "transfer.post.v1", data: Any = None, *, name: object = "e", **attributes: Any
) -> dict[str, Any]:
    """Give the JSON object of an event; an attribute that is None is left out."""
    event = {
        "specversion": "1.0",
        "id": event_id(name),
        "source": "tests",
        "type": event_type,
        "tenant": "acme",
        "data": TRANSFER if data is None else data,
        **attributes,
    }
    return {key: value for key, value in event.items() if value is not None}


def encoded(event: Any) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def event(
    event_type: str = "transfer.post.v1",
    data: Any = None,
    *,
    name: object = "e",
    at: tuple[int, int] | None = None,
    **attributes: Any,
) -> Event:
    """Make an event; `at` is the (partition, offset) where it was read."""
    partition, offset = at or (None, None)
    value = encoded(body(event_type, data, name=name, **attributes))
    return decode_event(value, partition=partition, offset=offset)


def transfer(debit: str, credit: str, amount: int, *, name: object = "e", **more: Any) -> Event:
    data = {"debit": debit, "credit": credit, "amount": amount, "asset": more.pop("asset", USD)}
    return event("transfer.post.v1", data, name=name, **more)


def fetched(message: Message) -> FetchedRecord:
    """Give a published message as a consumer hands it over."""
    sizes = len(message.key or b""), len(message.value or b"")
    return FetchedRecord(
        "outcomes", 0, 0, 0, 0, message.key, message.value, None, *sizes, tuple(message.headers)
    )


class HandClock:
    """A clock that stands still until it is moved by hand."""

    def __init__(self, now: datetime = NOW) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
