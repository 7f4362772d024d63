"""A provider and a hold that do what they are asked once, however often they are asked."""

from dataclasses import dataclass, field

from ledger.domain.payments.commands import Capture, Release
from ledger.domain.payments.happenings import (
    CapturePosted,
    CaptureRefused,
    ChargeAccepted,
    ChargeDeclined,
    Happening,
    RefundAccepted,
    RefundDeclined,
    ReleasePosted,
    ReleaseRefused,
)
from ledger.domain.payments.saga import HoldFact

AMOUNT = 1250


@dataclass
class Provider:
    """Its own book: under one key it charges or declines once, and gives back once."""

    charged: bool | None = None
    refunded: bool = False
    refunds_to_refuse: int = 0
    keys: set[str] = field(default_factory=set)

    def charge(self, key: str, good: bool) -> Happening:
        self.keys.add(key)
        self.charged = good if self.charged is None else self.charged
        return self.charge_status() or ChargeDeclined("never")

    def charge_status(self) -> Happening | None:
        if self.charged is None:
            return None
        return ChargeAccepted("ch_1") if self.charged else ChargeDeclined("no funds")

    def refund(self, key: str) -> Happening:
        self.keys.add(key)
        if not self.charged:
            return RefundDeclined("nothing was charged")
        if self.refunds_to_refuse and not self.refunded:
            self.refunds_to_refuse -= 1
            return RefundDeclined("not now")
        self.refunded = True
        return RefundAccepted("re_1")

    def refund_status(self) -> Happening | None:
        return RefundAccepted("re_1") if self.refunded else None

    def facts(self) -> list[Happening]:
        """Give what its webhooks tell."""
        return [fact for fact in (self.charge_status(), self.refund_status()) if fact is not None]


@dataclass
class Hold:
    """The hold in the books: each event id has one outcome."""

    left: int = AMOUNT
    captured: int = 0
    released: int = 0
    refuses_capture: bool = False
    outcomes: dict[str, Happening] = field(default_factory=dict)

    def handle(self, command: Capture | Release) -> Happening:
        if command.event_id not in self.outcomes:
            self.outcomes[command.event_id] = self._decide(command)
        return self.outcomes[command.event_id]

    def _decide(self, command: Capture | Release) -> Happening:
        if isinstance(command, Capture):
            if not self.left or self.refuses_capture:
                return CaptureRefused("closed", self.fact)
            self.captured, self.left = self.left, 0
            return CapturePosted()
        if not self.left:
            return ReleaseRefused(command.event_id, "hold_closed", self.fact)
        self.void()
        return ReleasePosted()

    @property
    def fact(self) -> HoldFact:
        if self.left:
            return HoldFact.OPEN
        return HoldFact.CAPTURED if self.captured else HoldFact.RELEASED

    def void(self) -> None:
        self.released, self.left = self.released + self.left, 0
