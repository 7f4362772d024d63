"""A provider in memory: its book, and answers as a script has them, for tests and simulation."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.application.providers import (
    Accepted,
    Answer,
    ChargeRequest,
    Declined,
    MoneyRequest,
    NotFound,
    Pending,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
)

Request = MoneyRequest


@dataclass(frozen=True, slots=True)
class Act:
    """What the provider does about one call: books it or not, and says `answer`; none: what the book says."""

    books: bool = True
    answer: Answer | None = None
    declines: str | None = None
    """Why it is declined, for good."""
    pends: bool = False
    """Whether it stays undecided until `settle`."""


Script = Callable[[Request, int], Act]
"""Of a request and how often its key was asked for before."""
StatusScript = Callable[[str, int], Unknown | RetryLater | None]
"""Of a key and how often its status was asked before; none: what the book says."""


@dataclass(slots=True)
class _Line:
    request: Request
    verdict: Accepted | Declined
    pending: bool


@dataclass(slots=True)
class MemoryProvider:
    """It moves money at most once a key, whatever it says."""

    script: Script = field(default=lambda request, asked: Act())
    status_script: StatusScript = field(default=lambda key, asked: None)
    lines: dict[str, _Line] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    async def charge(self, request: ChargeRequest) -> Answer:
        return self._call(request)

    async def refund(self, request: RefundRequest) -> Answer:
        return self._call(request)

    async def status(self, request: Request) -> StatusAnswer:
        key = request.idempotency_key
        said = self.status_script(key, self.asked[f"status {key}"])
        self.asked[f"status {key}"] += 1
        if said is not None:
            return said
        line = self.lines.get(key)
        if line is None:
            return NotFound()
        if (line.request.amount, line.request.asset) != (request.amount, request.asset):
            return Unknown("an answer about another amount")
        return Pending() if line.pending else line.verdict

    def settle(self) -> None:
        """Decide whatever is pending."""
        for line in self.lines.values():
            line.pending = False

    def moved(self, tenant: str | None = None) -> dict[str, tuple[int, int]]:
        """Give by asset what was charged and what was refunded, in minor units."""
        totals: dict[str, tuple[int, int]] = {}
        for line in self.lines.values():
            if (
                isinstance(line.verdict, Accepted)
                and not line.pending
                and tenant in (None, line.request.tenant)
            ):
                charged, refunded = totals.get(line.request.asset, (0, 0))
                amount = line.request.amount
                is_charge = isinstance(line.request, ChargeRequest)
                totals[line.request.asset] = (
                    charged + amount * is_charge,
                    refunded + amount * (not is_charge),
                )
        return totals

    def _call(self, request: Request) -> Answer:
        act = self.script(request, self.asked[request.idempotency_key])
        self.asked[request.idempotency_key] += 1
        line = self.lines.get(request.idempotency_key)
        if line is None and act.books:
            line = self._book(request, act)
        if act.answer is not None or line is None:
            return act.answer or Unknown("no answer")
        if line.request != request:
            return Unknown("the key was used for something else")
        return Unknown("the provider has not decided") if line.pending else line.verdict

    def _book(self, request: Request, act: Act) -> _Line:
        reason = act.declines or self._fault(request)
        verdict = Declined(reason) if reason else Accepted(f"ref-{request.idempotency_key}")
        line = self.lines[request.idempotency_key] = _Line(request, verdict, act.pends)
        return line

    def _fault(self, request: Request) -> str | None:
        """Say why a refund cannot be: it names no charge, or takes back more than there was."""
        if isinstance(request, ChargeRequest):
            return None
        charged = [
            line.request
            for line in self.lines.values()
            if isinstance(line.verdict, Accepted) and line.verdict.reference == request.charge
        ]
        if not charged or charged[0].asset != request.asset:
            return "charge_not_found"
        return (
            "exceeds_charge" if self._refunded(request.charge) + request.amount > charged[0].amount else None
        )

    def _refunded(self, charge: str) -> int:
        return sum(
            line.request.amount
            for line in self.lines.values()
            if isinstance(line.request, RefundRequest)
            and line.request.charge == charge
            and isinstance(line.verdict, Accepted)
        )
