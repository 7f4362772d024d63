"""What a saga wants done. Any command may be carried out again after a crash; each says how that is harmless."""

import re
from datetime import datetime

import msgspec


def snake_case(name: str) -> str:
    """Write the name of a class as the kind that is stored and shown."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _Command(msgspec.Struct, frozen=True, tag=snake_case, tag_field="kind"):
    pass


class _Call(_Command, frozen=True):
    key: str
    """The idempotency key: the same for every attempt at a step."""
    attempt: int
    """The number of the call among all that this payment makes, from 1."""


class Charge(_Call, frozen=True):
    """Have the provider take the money; under one key it does so once."""


class QueryCharge(_Call, frozen=True):
    """Ask the provider what became of the charge; changes nothing."""


class Refund(_Call, frozen=True):
    """Have the provider give the money back; under one key it does so once."""


class QueryRefund(_Call, frozen=True):
    """Ask the provider what became of the refund; changes nothing."""


Call = Charge | QueryCharge | Refund | QueryRefund


class Capture(_Command, frozen=True):
    """Publish the `hold.capture.v1` that also pays the fee; its id makes a repeat a duplicate."""

    event_id: str


class Release(_Command, frozen=True):
    """Publish a `hold.void.v1`; its id makes a repeat a duplicate."""

    event_id: str


class WakeAt(_Command, frozen=True):
    """Say `WokeUp` at this time; earlier or again is harmless."""

    at: datetime


class AlertOperator(_Command, frozen=True):
    """Tell a person, loudly; counted."""

    reason: str


Command = Call | Capture | Release | WakeAt | AlertOperator
