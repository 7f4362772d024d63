"""What stands in the model: accounts, balances, holds, originals; and the closed list of reasons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from loadtests.chaos.checker.events import AMOUNT_MAX, Data, Event, moment_of

REASONS = (
    "event_id_reused",
    "event_too_old",
    "event_from_future",
    "unbalanced",
    "same_account",
    "amount_out_of_range",
    "account_not_found",
    "account_exists_differently",
    "account_closed",
    "account_not_empty",
    "transaction_not_found",
    "already_reversed",
    "exceeds_original",
    "hold_not_found",
    "hold_closed",
    "hold_expired",
    "exceeds_hold",
    "unknown_provider",
    "insufficient_funds",
)
"""The closed list: of those that apply the first is given."""

Line = tuple[str, str, int]
"""Account, asset, signed amount: + credits, − debits."""
Key = tuple[str, str]
"""Tenant and account, or tenant and id."""


class Limits(NamedTuple):
    """What the ledger under test was told."""

    horizon: timedelta = timedelta(days=90)
    future: timedelta = timedelta(minutes=5)


class Born(NamedTuple):
    """When and in which partition something came to be."""

    at: datetime
    partition: int | None


@dataclass(slots=True)
class Settings:
    """What an account was opened with; `overdraft` None is without limit."""

    side: str
    overdraft: int | None
    metadata: Data | None = None
    closed: bool = False


@dataclass(slots=True)
class Balance:
    """What an account holds of an asset; totals only grow."""

    debits: int = 0
    credits: int = 0
    held: int = 0
    version: int = 0
    born: Born | None = None


@dataclass(slots=True)
class Hold:
    """Funds set aside; of a payment, `fee` is a part of what its capture brings, and only `movers` may end it."""

    debit: str
    credit: str
    asset: str
    amount: int
    left: int
    expires_at: datetime | None
    born: Born
    fee: tuple[str, int] | None = None
    is_payment: bool = False
    state: str = "open"

    def has_expired(self, now: datetime) -> bool:
        return self.state == "expired" or (
            self.state == "open" and self.expires_at is not None and now >= self.expires_at
        )


@dataclass(slots=True)
class Original:
    """A transaction that some event reverses."""

    lines: Sequence[Line]
    born: Born
    taken: int = 0

    @property
    def left(self) -> int:
        return (abs(self.lines[0][2]) if len(self.lines) == 2 else 1) - self.taken


def pair(debit: str, credit: str, asset: str, amount: int) -> list[Line]:
    return [(debit, asset, -amount), (credit, asset, amount)]


def wanted(data: Data) -> tuple[str, int | None]:
    """Give the side and the overdraft that an opening asks for."""
    default = "unlimited" if data["account"].startswith("external:") else 0
    overdraft = data.get("overdraft", default)
    return data.get("normal_side", "credit"), None if overdraft == "unlimited" else overdraft


def placed(event: Event, born: Born) -> Hold:
    data = event.data
    is_payment = event.type == "payment.request.v1"
    credit, fee = data["credit"], data.get("fee")
    if is_payment and data["provider"].startswith("ledger:"):
        credit = "transit:" + data["provider"].removeprefix("ledger:")
    expires = data.get("expires_at")
    return Hold(
        debit=data["debit"],
        credit=credit,
        asset=data["asset"],
        amount=data["amount"],
        left=data["amount"],
        expires_at=moment_of(expires).astimezone(UTC) if expires else None,
        born=born,
        fee=(fee["account"], fee["amount"]) if fee else None,
        is_payment=is_payment,
    )


def posting_reasons(lines: Sequence[Line]) -> Iterator[str]:
    sums: dict[str, int] = {}
    for _, asset, amount in lines:
        sums[asset] = sums.get(asset, 0) + amount
        if not 0 < abs(amount) <= AMOUNT_MAX:
            yield "amount_out_of_range"
    if any(sums.values()):
        yield "unbalanced"
    if len({account for account, _, _ in lines}) == 1:
        yield "same_account"
