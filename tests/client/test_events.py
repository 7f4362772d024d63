"""Events of the client: what is made is what the contract reads, and what could only be refused is not made."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.client import (
    InvalidEventError,
    NewEvent,
    account_closing,
    account_opening,
    capture,
    hold,
    payment,
    reversal,
    transaction,
    transfer,
    void,
)
from ledger.contract.decode import decode_event
from ledger.contract.event_types import COMMANDS
from ledger.contract.keys import KeyChooser
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    EntryLine,
    Event,
    Fee,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
)

ID = "01a1fd8c-6900-77dc-a235-639215ca5234"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FEE = Fee("fees", 75)
LINES = [("ann", "USD/2", -1250), ("shoes", "USD/2", 1200), ("fees", "USD/2", 50)]

MADE = [
    (transfer("ann", "shoes", 1250, "USD/2"), PostTransfer("ann", "shoes", 1250, "USD/2")),
    (
        transfer("ann", "shoes", 1, "USD/2", reference="r", effective_at=NOON, metadata={"a": [1]}),
        PostTransfer("ann", "shoes", 1, "USD/2", "r", NOON, {"a": [1]}),
    ),
    (transaction(LINES), PostTransaction(tuple(EntryLine(*line) for line in LINES))),
    (reversal(ID), ReverseTransaction(ID)),
    (reversal(ID, 250), ReverseTransaction(ID, 250)),
    (hold("ann", "shoes", 8000, "USD/2", expires_at=NOON), PlaceHold("ann", "shoes", 8000, "USD/2", NOON)),
    (capture(ID), CaptureHold(ID)),
    (capture(ID, 3000, final=False), CaptureHold(ID, 3000, final=False)),
    (void(ID), VoidHold(ID)),
    (
        payment("ann", "out", 5000, "USD/2", "bank", fee=("fees", 75), deadline=NOON),
        RequestPayment("ann", "out", 5000, "USD/2", "bank", fee=FEE, deadline=NOON),
    ),
    (account_opening("till:4"), OpenAccount("till:4")),
    (
        account_opening("till:4", normal_side="debit", overdraft="unlimited", metadata={"a": 1}),
        OpenAccount("till:4", "debit", "unlimited", {"a": 1}),
    ),
    (account_closing("till:4"), CloseAccount("till:4")),
]


def read(event: NewEvent) -> Event:
    return decode_event(event.value(source="tests", tenant="acme"))


@pytest.mark.parametrize(("event", "command"), MADE)
def test_an_event_is_read_as_it_was_meant(event: NewEvent, command: object) -> None:
    found = read(event)
    assert (found.id, found.type, found.command) == (event.id, event.type, command)
    assert isinstance(command, COMMANDS[event.type])


def test_there_is_a_builder_for_every_type() -> None:
    assert {event.type for event, _ in MADE} == COMMANDS.keys()


def test_each_event_has_an_id_of_its_own_and_keeps_it() -> None:
    one, other = (transfer("ann", "shoes", 1, "USD/2") for _ in range(2))
    assert one.id != other.id
    assert one.value(source="a", tenant=None) == one.value(source="a", tenant=None)


def test_what_belongs_to_it_goes_along() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = transfer("ann", "shoes", 1, "USD/2", id=ID, correlation_id="order-17", traceparent=trace)
    found = read(event)
    assert (found.id, found.correlation_id, found.traceparent) == (ID, "order-17", trace)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: transfer("ann", "shoes", 0, "USD/2"), "amount_out_of_range"),
        (lambda: transfer("ann", "shoes", 2**63, "USD/2"), "amount_out_of_range"),
        (lambda: transfer("ann", "shoes", 12.5, "USD/2"), "invalid_data"),  # type: ignore[arg-type]
        (lambda: transfer("ann", "shoes", True, "USD/2"), "invalid_data"),
        (lambda: transfer("ann", "shoes", 1, "USD/3"), "invalid_data"),
        (lambda: transfer("ann", "sh oes", 1, "USD/2"), "invalid_data"),
        (lambda: transfer("ann", "ann", 1, "USD/2"), "same_account"),
        (lambda: transfer("ann", "shoes", 1, "USD/2", id="17"), "invalid_envelope"),
        (lambda: transfer("ann", "shoes", 1, "USD/2", metadata={"a": object()}), "invalid_data"),
        (
            lambda: transfer("ann", "shoes", 1, "USD/2", effective_at=NOON.replace(tzinfo=None)),
            "invalid_data",
        ),
        (lambda: transfer("ann", "shoes", 1, "USD/2", reference="x" * 300), "invalid_data"),
        (lambda: transaction([("a", "USD/2", -1), ("b", "USD/2", 2)]), "unbalanced"),
        (lambda: transaction([("a", "USD/2", -1), ("a", "USD/2", 1)]), "same_account"),
        (lambda: transaction([("a", "USD/2", 0), ("b", "USD/2", 0)]), "amount_out_of_range"),
        (lambda: transaction([("a", "USD/2", 1)]), "invalid_data"),
        (lambda: capture(ID, 0), "amount_out_of_range"),
        (lambda: reversal("17"), "invalid_data"),
        (lambda: payment("ann", "out", 50, "USD/2", "bank", fee=("fees", 50)), "amount_out_of_range"),
        (lambda: payment("ann", "out", 50, "USD/2", "bank", fee=("ann", 5)), "same_account"),
        (lambda: payment("transit:b", "out", 50, "USD/2", "ledger:b"), "same_account"),
        (lambda: account_opening("a", overdraft=-1), "invalid_data"),
    ],
)
def test_what_could_only_be_refused_is_not_made(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InvalidEventError) as found:
        make()
    assert found.value.reason == reason


KEEPS = hold("ann", "shoes", 1, "USD/2")


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (transfer("ann", "shoes", 1, "USD/2"), b"acme/ann"),
        (capture(KEEPS), b"acme/ann"),
        (void(ID, account="ann"), b"acme/ann"),
        (reversal(transaction(LINES)), b"acme/ann"),
        (reversal(capture(KEEPS)), b"acme/ann"),
        (void(ID), f"acme/{ID}".encode()),
    ],
)
def test_an_event_goes_under_the_key_of_what_it_builds_on(event: NewEvent, key: bytes) -> None:
    value = event.value(source="tests", tenant="acme")
    assert KeyChooser().key_for(decode_event(value), value) == key
