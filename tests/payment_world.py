"""A world for one payment: a provider and books that do what they are asked once, on a network that does as it likes.

In a strict world no webhook ever comes, a worker begins only calls whose answer is still awaited, each once, and what
was sent arrives within the grace. There the machine must never be wrong. In a wild world everything comes at any time,
in any order, any number of times, from workers long given up too, and the database may go back to an earlier time; but
in the end the provider tells all that it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.domain.payments.commands import (
    AlertOperator,
    Call,
    Capture,
    Charge,
    Command,
    QueryCharge,
    QueryRefund,
    Refund,
    Release,
    WakeAt,
)
from ledger.domain.payments.happenings import (
    CapturePosted,
    CaptureRefused,
    ChargeDeclined,
    Decided,
    Decision,
    Happening,
    HoldPlaced,
    HoldRefused,
    NotFound,
    Pending,
    ReleasePosted,
    ReleaseRefused,
    RetryLater,
    Unknown,
    WokeUp,
    kind_of,
)
from ledger.domain.payments.machine import advance
from ledger.domain.payments.rules import Occasion, PaymentRules
from ledger.domain.payments.saga import ChargeFact, HoldFact, Saga, State, Step, start
from ledger.domain.payments.steps import Verdict
from tests.builders import NOW
from tests.payment_doubles import AMOUNT, Hold, Provider

RULES = PaymentRules(
    charge_tries_max=3,
    refund_tries_max=2,
    publish_tries_max=3,
    answer_s=10,
    outcome_s=5,
    backoff_s=1,
    backoff_s_max=8,
    retry_after_s_max=100,
    not_found_grace_s=40,
    unknown_s_max=200,
    alert_again_s=50,
    deadline_s=60,
)
FATES = ("answered", "unanswered", "silent", "lost", "vanished", "refused", "late", "pending", "lie")
"""What becomes of a call. Done: answered, unanswered (unknown), silent. Not done: lost (unknown), vanished, refused.

Late: done some time later. Of queries: answered; pending; a lie, which says declined of what was not seen.
"""

Outgoing = Call | Capture | Release


@dataclass
class World:
    """One payment and all that can happen to it. What must hold in every moment is checked in every moment."""

    strict: bool
    refuses_capture: bool = False
    refunds_to_refuse: int = 0

    def __post_init__(self) -> None:
        self.now = NOW
        self.saga: Saga = start("p", tenant="t", now=NOW, deadline=None, rules=RULES)
        self.provider = Provider(refunds_to_refuse=self.refunds_to_refuse)
        self.hold = Hold(refuses_capture=self.refuses_capture)
        self.waiting: list[Outgoing] = []
        self.issued: list[Outgoing] = []
        self.begun: set[Call] = set()
        self.network: list[tuple[datetime, Call, bool]] = []
        self.inbox: list[Happening] = []
        self.moves: set[tuple[State, State]] = set()
        self.cells: set[tuple[State, str]] = set()
        self.serial = 0
        self.disturbed = False
        self.stored = [self.saga]
        self.chance = 0.5

    # What happens

    def request(self, *, granted: bool = True) -> None:
        if not granted:
            self.hold.left = 0
        outcome = HoldPlaced() if granted else HoldRefused("insufficient_funds")
        self.tell(outcome)
        self.inbox.append(outcome)

    def run(self, index: int, fate: str, good: bool = True) -> None:
        """A worker carries out what it was given."""
        if self.waiting:
            self._do(self.waiting.pop(index % len(self.waiting)), fate, good)

    def repeat(self, index: int, fate: str, good: bool = True) -> None:
        """What was given out before is carried out again."""
        if self.issued:
            self._do(self.issued[index % len(self.issued)], fate, good)

    def crash(self) -> None:
        self.waiting.clear()

    def deliver(self, index: int, *, again: bool = False) -> None:
        if self.inbox:
            at = index % len(self.inbox)
            happening = self.inbox[at]
            if not again:
                del self.inbox[at]
            self.tell(happening)

    def forget(self, index: int) -> None:
        """An answer is lost on its way; outcomes of the books are not."""
        if self.inbox and not isinstance(self.inbox[index % len(self.inbox)], _OUTCOMES):
            del self.inbox[index % len(self.inbox)]

    def webhook(self, index: int) -> None:
        facts = self.provider.facts()
        if facts and not self.strict:
            self.tell(facts[index % len(facts)])

    def land(self, index: int) -> None:
        """Something sent long ago arrives."""
        if self.network:
            _, call, good = self.network.pop(index % len(self.network))
            self._reach(call, good)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds if self.strict else max(seconds, -30))
        if self.strict:
            while late := [index for index, sent in enumerate(self.network) if sent[0] <= self.now]:
                self.land(late[0])

    def wake(self) -> None:
        self.tell(WokeUp())

    def wake_in_time(self) -> None:
        if self.saga.next_at is not None:
            self.wait(max(0.0, (self.saga.next_at - self.now).total_seconds()))
        self.wake()

    def decide(self, index: int) -> None:
        """An operator who looked says what is so."""
        truths = self._truths()
        if self.saga.state is State.NEEDS_OPERATOR:
            self._say(truths[index % len(truths)])

    def _say(self, decision: Decision) -> None:
        if decision is Decision.HOLD_CLOSED and self.saga.step is Step.RELEASE:
            # A capture that a fail-over forgot is reversed before an operator says so.
            self.hold.captured, self.hold.released = 0, AMOUNT
        self.tell(Decided(decision, "ops", "ch_1" if decision is Decision.CHARGED else None))

    def interfere(self) -> None:
        """Somebody voids the hold by hand."""
        if self.saga.hold is not HoldFact.NONE:
            self.disturbed = True
            self.hold.void()

    def fail_over(self, index: int) -> None:
        """The database goes back to an earlier time; the log brings the books forward again, but not the saga."""
        if not self.strict and self.saga.hold is not HoldFact.NONE:
            self.disturbed = True
            self.crash()
            self.saga = self.stored[index % len(self.stored)]
            if self.saga.state is State.REQUESTED:
                self.request(granted=index > 0 or not self.hold.left)

    def _truths(self) -> Sequence[Decision]:
        truths = [Decision.RETRY]
        if not self.hold.left:
            truths.append(Decision.HOLD_CLOSED)
        if not self._charge_is_on_its_way():
            with_provider = self.provider.charged and not self.provider.refunded
            truths.append(Decision.CHARGED if with_provider else Decision.NOT_CHARGED)
        return truths

    # Carrying out

    def _do(self, command: Outgoing, fate: str, good: bool) -> None:
        if isinstance(command, Capture | Release):
            if fate != "lost":
                self.inbox.append(self.hold.handle(command))
            return
        if self.strict and not self._is_wanted(command):
            return
        if self.strict and command in self.begun:
            fate = "lost"
        self.begun.add(command)
        answer = self._carried_out(command, fate, good)
        self.inbox += [] if answer is None else [answer]

    def _is_wanted(self, call: Call) -> bool:
        return self.saga.awaiting == call and self.saga.next_at is not None and self.now < self.saga.next_at

    def _carried_out(self, call: Call, fate: str, good: bool) -> Happening | None:
        match fate:
            case "lost":
                return Unknown(call)
            case "vanished":
                return None
            case "refused":
                return RetryLater(call, 7.0 if good else None, counts=good)
            case "late":
                by = self.now + timedelta(seconds=RULES.not_found_grace_s)
                self.network.append((by, call, good))
                return Unknown(call) if good else None
            case "pending" if isinstance(call, QueryCharge | QueryRefund):
                return Pending(call)
            case "lie" if isinstance(call, QueryCharge) and not self.strict:
                return self.provider.charge_status() or ChargeDeclined("never seen")
        answer = self._reach(call, good)
        return {"unanswered": Unknown(call), "silent": None}.get(fate, answer)

    def _reach(self, call: Call, good: bool) -> Happening:
        match call:
            case Charge():
                return self.provider.charge(call.key, good)
            case Refund():
                return self.provider.refund(call.key)
            case QueryCharge():
                return self.provider.charge_status() or NotFound(call)
        return self.provider.refund_status() or NotFound(call)

    # The machine, watched

    def tell(self, happening: Happening) -> None:
        before = self.saga
        self.cells.add((before.state, kind_of(happening)))
        occasion = Occasion(self.now, self.chance, f"e{self.serial}", RULES)
        self.serial += 1
        saga, commands, verdict = advance(before, happening, occasion)
        self.saga = saga
        self.stored.append(saga)
        if before.state is not saga.state:
            self.moves.add((before.state, saga.state))
        for command in commands:
            self._watch(command, before)
        self._watch_waking(before, commands)
        outgoing = [command for command in commands if not isinstance(command, WakeAt | AlertOperator)]
        self.waiting += outgoing
        self.issued += outgoing
        if self.strict and not isinstance(happening, Decided):
            assert verdict is not Verdict.CONTRADICTION, happening

    def _watch(self, command: Command, before: Saga) -> None:
        with_provider = self.provider.charged and not self.provider.refunded
        match command:
            case Charge():
                assert self.now < self.saga.deadline, "charged past the deadline"
                assert self.saga.charge is ChargeFact.NONE, "charged what is charged"
                assert self.disturbed or not self._released(), "charged without a hold"
            case Capture() if not self.disturbed:
                assert with_provider, "captured what was not charged"
                assert not self._released(), "captured and released"
            case Release() if self.strict:
                assert not with_provider, "released what is charged"
                assert self.provider.charged is not None or not self._charge_is_on_its_way()
            case Refund():
                assert self.provider.charged, "refunded what was not charged"
                assert self.saga.charge is ChargeFact.CHARGED, "refunded twice"
            case AlertOperator():
                assert command.reason, "an alert without a reason"

    def _charge_is_on_its_way(self) -> bool:
        return any(isinstance(call, Charge) for _, call, _ in self.network)

    def _released(self) -> bool:
        return any(isinstance(command, Release) for command in self.issued)

    def _watch_waking(self, before: Saga, commands: tuple[Command, ...]) -> None:
        wakes = [command.at for command in commands if isinstance(command, WakeAt)]
        assert self.saga.state.is_end or wakes == [self.saga.next_at], "nothing would wake it"
        alerted = any(isinstance(command, AlertOperator) for command in commands)
        if self.saga.state is State.NEEDS_OPERATOR and before.state is not State.NEEDS_OPERATOR:
            assert alerted, "stuck in silence"
            assert self.saga.stuck
        assert len({key for key in self.provider.keys if key.endswith("charge")}) <= 1
        assert len({key for key in self.provider.keys if key.endswith("refund")}) <= 1

    # The end

    def finish(self) -> None:
        """From now on everybody answers, and operators look; it must end soon, with every sum right."""
        self.chance = 0.5
        for _ in range(200):
            self._settle_down()
            if self.saga.state.is_end:
                break
            self._go_on()
        self.check_end()

    def _settle_down(self) -> None:
        for _ in range(50):
            while self.network:
                self.land(0)
            while self.inbox:
                self.deliver(0)
            if not self.strict:
                for fact in self.provider.facts():
                    self.tell(fact)
            if not self.waiting:
                return
            self.run(0, "answered")

    def _go_on(self) -> None:
        if self.saga.state is State.NEEDS_OPERATOR:
            closed = self.saga.step is Step.RELEASE and not self.hold.left
            self._say(Decision.HOLD_CLOSED if closed else Decision.RETRY)
        else:
            self.wake_in_time()

    def check_end(self) -> None:
        assert self.saga.state.is_end, f"never ends: {self.saga}"
        assert self.hold.left == 0, "money stays held"
        if self.saga.hold is not HoldFact.NONE:
            assert self.hold.captured + self.hold.released == AMOUNT
        with_provider = AMOUNT * (bool(self.provider.charged) - self.provider.refunded)
        assert with_provider == self.hold.captured, f"{with_provider} there, {self.hold.captured} here"
        assert (self.saga.state is State.SETTLED) is bool(self.hold.captured)


_OUTCOMES = CapturePosted | CaptureRefused | ReleasePosted | ReleaseRefused
