"""What the API answers to a reader; members that this client does not know are ignored.

Amounts are minor units of their asset. Times have an offset.
"""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from ledger.client.outcomes import PostedEntry

Consistency = Literal["strong", "cached", "eventual"]
WindowSize = Literal["1m", "1h", "1d"]
Item = TypeVar("Item")


class _Answer(msgspec.Struct, frozen=True):
    pass


class Page(_Answer, Generic[Item], frozen=True):
    """A page of a list, and where the next begins."""

    items: list[Item]
    next_cursor: str | None = None


class AssetBalance(_Answer, frozen=True):
    """One balance of an account, as it is committed."""

    asset: str
    posted_debits: int
    posted_credits: int
    balance: int
    held: int
    available: int
    version: int
    as_of: datetime | None = None
    """None in the answer about an account, whose balances are all of the moment at which it was asked."""


class Balance(_Answer, frozen=True):
    """A balance, where it was read, and how old it may be.

    `held` and `available` are None where the source does not know them: the past, and the stream.
    """

    account: str
    asset: str
    posted_debits: int
    posted_credits: int
    balance: int
    held: int | None
    available: int | None
    version: int
    as_of: datetime
    consistency: Consistency
    source: str
    age_ms: int


class LiveBalance(AssetBalance, frozen=True, kw_only=True):
    """One balance of an account that has just been read from the books."""

    account: str


class AccountAnswer(_Answer, frozen=True):
    """An account's settings, and all its balances."""

    account: str
    normal_side: str
    overdraft: int | Literal["unlimited"]
    metadata: dict[str, Any] | None
    opened_at: datetime
    closed_at: datetime | None
    balances: list[AssetBalance]


class StatementLine(_Answer, frozen=True):
    """An entry of an account; balance and totals are those after it."""

    transaction: str
    type: str
    account: str
    asset: str
    amount: int
    version: int
    balance: int
    posted_debits: int
    posted_credits: int
    reference: str | None
    posted_at: datetime
    effective_at: datetime


class Window(_Answer, frozen=True):
    """What the entries of a stretch of time come to."""

    start: datetime
    end: datetime
    opening: int
    closing: int
    low: int
    high: int
    debits: int
    credits: int
    entries: int
    first_version: int
    last_version: int
    closed: bool
    source: str
    age_ms: int


class TransactionAnswer(_Answer, frozen=True):
    """A posted transaction; its id is that of the event that asked for it."""

    transaction: str
    type: str
    posted_at: datetime
    effective_at: datetime
    reference: str | None
    metadata: dict[str, Any] | None
    entries: list[PostedEntry]
    reverses: str | None
    captures: str | None
    reversed_by: list[str]


class HoldAnswer(_Answer, frozen=True):
    """A hold as it stands: amount = captured + released + left."""

    hold: str
    debit: str
    credit: str
    asset: str
    amount: int
    captured: int
    released: int
    left: int
    state: str
    placed_at: datetime
    expires_at: datetime | None
    reference: str | None
    captures: list[str]


class TimelineLine(_Answer, frozen=True):
    """What happened to a payment, and what was done about it."""

    number: int
    at: datetime
    happening: str
    verdict: str
    state: str
    commands: list[str]
    attempt: int | None = None
    event: str | None = None
    next_at: datetime | None = None
    detail: str | None = None
    by: str | None = None


class PaymentAnswer(_Answer, frozen=True):
    """A payment that a provider makes: where it is, why, and its timeline, the oldest first."""

    id: str
    state: str
    why: str
    next_at: datetime | None
    debit: str
    credit: str
    amount: int
    asset: str
    provider: str
    requested_at: datetime
    deadline: datetime
    attempts: int
    timeline: list[TimelineLine] = []
    timeline_next: int | None = None
    reference: str | None = None
    charge_reference: str | None = None
    refund_reference: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it by itself, and nobody is waited for."""
        return self.state in ("settled", "declined", "released", "expired", "refunded")


class AssetTotal(_Answer, frozen=True):
    """All balances of one asset together; `difference` is 0, always."""

    asset: str
    posted_debits: int
    posted_credits: int
    difference: int
    held: int
    balances: int
