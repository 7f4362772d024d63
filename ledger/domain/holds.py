"""Holds: funds set aside for a later capture, released when captured, voided or expired."""

from datetime import datetime
from typing import Literal

import msgspec

HoldState = Literal["open", "captured", "voided", "expired"]


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
    row_exists: bool = False
    """False while only this batch knows of it."""

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
