"""Holds: funds set aside for a later capture, released when captured, voided or expired."""

from datetime import datetime
from typing import Literal

import msgspec

from ledger.domain.payments.saga import Step

HoldState = Literal["open", "captured", "voided", "expired"]


class Guard(msgspec.Struct, frozen=True):
    """What the payment behind a hold says of it: the fee in its capture, and the one event that may close it."""

    fee_account: str | None
    fee_amount: int
    """Minor units."""
    event_id: str | None = None
    """The capture or void that the payment's saga stored, if it has come so far."""
    step: Step | None = None
    """What the saga is about to do: that event may do nothing else."""

    def lets(self, event_id: str, step: Step) -> bool:
        """Tell whether an event may do the capture or release."""
        return self.event_id is not None and (self.event_id, self.step) == (event_id, step)


class Hold(msgspec.Struct):
    """A hold on `debit`; amounts in minor units: amount = captured + released + left."""

    id: str
    tenant: str
    debit: str
    credit: str
    asset: str
    amount: int
    left: int
    captured: int = 0
    released: int = 0
    state: HoldState = "open"
    expires_at: datetime | None = None
    reference: str | None = None
    placed_at: datetime | None = None
    guard: Guard | None = None
    """None unless it is a payment's."""
    row_exists: bool = False
    """False while only this batch knows of it."""

    @property
    def accounts(self) -> list[str]:
        """Name the accounts that its capture moves."""
        fee = [] if self.guard is None or self.guard.fee_account is None else [self.guard.fee_account]
        return [self.debit, self.credit, *fee]

    def has_expired(self, now: datetime) -> bool:
        """Tell whether its time is over: swept already, or open past its end."""
        past = self.expires_at is not None and now >= self.expires_at
        return self.state == "expired" or (self.state == "open" and past)

    def take(self, amount: int, *, final: bool) -> int:
        """Capture `amount`; close it if final or used up. Returns what it no longer reserves."""
        before = self.left
        self.captured += amount
        self.left -= amount
        if final or not self.left:
            self._release("captured")
        return before - self.left

    def void(self, now: datetime) -> int:
        """Release what is left. Returns what it no longer reserves."""
        before = self.left
        self._release("expired" if self.has_expired(now) else "voided")
        return before

    def _release(self, state: HoldState) -> None:
        self.released += self.left
        self.left = 0
        self.state = state
