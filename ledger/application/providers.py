"""Providers: who moves money outside, what the ledger asks of them, and what their answers mean."""

import re
from typing import Protocol

import msgspec

from ledger.domain.money import in_range

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """It happened. `reference` is the provider's own name for it."""

    reference: str


class Declined(msgspec.Struct, frozen=True, tag="declined"):
    """It did not happen, and the provider will not do it: `reason` in its words, `detail` for people."""

    reason: str
    detail: str = ""


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """No answer, or none that can be understood: it may have happened. Ask for its status."""

    detail: str


class RetryLater(msgspec.Struct, frozen=True, tag="retry_later"):
    """This call certainly did nothing; an earlier one under the same key may have."""

    detail: str
    after_s: float | None = None
    """Seconds to wait, if the provider asked for that."""
    counts: bool = True
    """Whether it is one of the tries that a payment has; False where it is for us to put something right."""


class Pending(msgspec.Struct, frozen=True, tag="pending"):
    """The provider knows of it and has not decided."""


class NotFound(msgspec.Struct, frozen=True, tag="not_found"):
    """The provider has not seen this key so far; a call on its way may still arrive."""


Answer = Accepted | Declined | Unknown | RetryLater
"""Of a charge or a refund. A pending one is unknown."""
StatusAnswer = Accepted | Declined | Pending | NotFound | Unknown | RetryLater
"""Of a question for the status. The last two tell nothing about what was asked for."""
AnyAnswer = Accepted | Declined | Unknown | RetryLater | Pending | NotFound


class ChargeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Money to be moved outside. One idempotency key moves it at most once; amount in minor units.

    Raises ValueError for a key that does not fit into a header, or an amount that cannot be moved.
    """

    idempotency_key: str
    payment: str
    tenant: str
    amount: int
    asset: str
    account: str
    reference: str | None = None
    traceparent: str | None = None
    """Of the call, which carries it in a header, or in the event that it becomes."""

    def __post_init__(self) -> None:
        _check(self.idempotency_key, self.amount)


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A charge to be taken back, whole or in part. `charge` is the provider's reference of it.

    Raises ValueError as ChargeRequest does.
    """

    idempotency_key: str
    payment: str
    tenant: str
    amount: int
    asset: str
    charge: str
    reference: str | None = None
    traceparent: str | None = None
    """Of the call, which carries it in a header, or in the event that it becomes."""

    def __post_init__(self) -> None:
        _check(self.idempotency_key, self.amount)


MoneyRequest = ChargeRequest | RefundRequest


class PaymentProvider(Protocol):
    """One provider. No method raises for what a provider or the network does: that is an answer."""

    async def charge(self, request: ChargeRequest) -> Answer:
        """Ask for a charge. The same key again asks for the same charge, and gets what became of it."""
        ...

    async def refund(self, request: RefundRequest) -> Answer:
        """Ask for a refund, in the same way."""
        ...

    async def status(self, request: MoneyRequest) -> StatusAnswer:
        """Ask what became of a charge or a refund. What is told of another amount or asset is unknown."""
        ...


def check_key(idempotency_key: str) -> None:
    """Raise ValueError for a key that does not fit into a header and a path as it is."""
    if not _KEY.match(idempotency_key):
        raise ValueError("an idempotency key is 1 to 128 letters, digits and . _ : -")


def kind_of(answer: AnyAnswer) -> str:
    """Name the kind of an answer: `accepted`, `retry_later` …"""
    return str(answer.__struct_config__.tag)


def _check(idempotency_key: str, amount: int) -> None:
    check_key(idempotency_key)
    if not in_range(amount):
        raise ValueError(f"an amount of {amount} cannot be moved")
