"""A circuit breaker: it stops asking what keeps failing or dawdling, and tries again after a while."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

Monotonic = Callable[[], float]
"""Gives seconds that never go back."""


class BreakerState(StrEnum):
    """Closed: calls pass. Open: none does. Half-open: one at a time may try whether it has recovered."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


Changed = Callable[[BreakerState, BreakerState], None]
"""Told the state before and after each change."""


class BreakerOpenError(Exception):
    """The call was not made: what it would ask failed too often of late."""


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens, and when it closes again; times in seconds."""

    calls_min: int = 10
    """Fewer calls than this tell nothing."""
    calls_max: int = 1000
    """Of more calls than this within the window, the latest count."""
    bad_share: float = 0.5
    """It opens when this share of the calls in the window failed or were slow."""
    window_s: float = 10.0
    slow_s: float = float("inf")
    """A call that takes this long counts as bad, though it succeeded."""
    open_s: float = 5.0
    """How long it stays open before a trial may be made, and how long it waits to hear of that."""
    trials: int = 1
    """How many trials, one after another, must go well for it to close."""


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave for one call, to be handed back with what became of it."""

    begun: float
    round: int


class BreakerView(NamedTuple):
    """How a breaker stands; times by the monotonic clock. Of one that is not closed, the calls that opened it."""

    state: BreakerState
    since: float
    """When it closed; of one that is not closed, when it left off being so: a trial that fails begins nothing new."""
    retry_at: float | None
    """When a trial may be made; none unless it is open."""
    calls: int
    bad: int


class _Call(NamedTuple):
    at: float
    bad: bool


class Breaker:
    """Counts the calls to one thing. It neither waits nor calls: it gives leave, and is told how it went."""

    def __init__(
        self, rules: BreakerRules, monotonic: Monotonic, changed: Changed = lambda before, after: None
    ) -> None:
        self._rules = rules
        self._monotonic = monotonic
        self._changed = changed
        self._state = BreakerState.CLOSED
        self._calls: deque[_Call] = deque()
        self._bad = 0
        self._round = 0
        self._opened_at = 0.0
        self._since = monotonic()
        self._opened_by = (0, 0)
        self._trial: Permit | None = None
        self._passed = 0

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker is half-open as soon as a trial may be made."""
        return BreakerState.HALF_OPEN if self._is_rested() else self._state

    def view(self) -> BreakerView:
        """Tell how it stands."""
        state, rested_at = self.state, self._opened_at + self._rules.open_s
        if state is BreakerState.CLOSED:
            self._forget_old()
            return BreakerView(state, self._since, None, len(self._calls), self._bad)
        retry_at = rested_at if state is BreakerState.OPEN else None
        return BreakerView(state, self._since, retry_at, *self._opened_by)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Make a call inside: it fails by raising, and tells nothing if it is cancelled.

        Raises BreakerOpenError before the call if it may not be made.
        """
        permit = self.permit()
        if permit is None:
            raise BreakerOpenError(f"the breaker is {self._state}")
        try:
            yield
        except Exception:
            self.failed(permit)
            raise
        except BaseException:
            self.given_back(permit)
            raise
        self.succeeded(permit)

    def permit(self) -> Permit | None:
        """Ask for leave to make a call, to be handed back by one of the three methods below; None: not now."""
        if self._is_rested():
            self._enter(BreakerState.HALF_OPEN)
        if self._state is BreakerState.OPEN or self._is_on_trial():
            return None
        permit = Permit(self._monotonic(), self._round)
        if self._state is BreakerState.HALF_OPEN:
            self._trial = permit
        return permit

    def succeeded(self, permit: Permit) -> None:
        """The call was answered. If that took too long, it counts as bad all the same."""
        self._note(permit, bad=self._monotonic() - permit.begun >= self._rules.slow_s)

    def failed(self, permit: Permit) -> None:
        """The call failed, or was given up for its length."""
        self._note(permit, bad=True)

    def given_back(self, permit: Permit) -> None:
        """The call tells nothing: it was cancelled, or never made."""
        if permit is self._trial:
            self._trial = None

    def _note(self, permit: Permit, *, bad: bool) -> None:
        if permit is self._trial:
            self._note_trial(bad)
        elif self._state is BreakerState.CLOSED and permit.round == self._round:
            self._note_call(bad)
        # Any other began before the last change of state, and tells of that time.

    def _note_trial(self, bad: bool) -> None:
        self._trial = None
        self._passed += 1
        if bad:
            self._enter(BreakerState.OPEN)
        elif self._passed >= self._rules.trials:
            self._enter(BreakerState.CLOSED)

    def _note_call(self, bad: bool) -> None:
        now = self._monotonic()
        self._calls.append(_Call(now, bad))
        self._bad += bad
        self._forget_old()
        counted = len(self._calls)
        if bad and counted >= self._rules.calls_min and self._bad >= self._rules.bad_share * counted:
            self._enter(BreakerState.OPEN)

    def _forget_old(self) -> None:
        since = self._monotonic() - self._rules.window_s
        while self._calls and (self._calls[0].at <= since or len(self._calls) > self._rules.calls_max):
            self._bad -= self._calls.popleft().bad

    def _is_rested(self) -> bool:
        waited_s = self._monotonic() - self._opened_at
        return self._state is BreakerState.OPEN and waited_s >= self._rules.open_s

    def _is_on_trial(self) -> bool:
        """Whether a trial runs; one of which nothing was heard for long enough is given up."""
        return self._trial is not None and self._monotonic() - self._trial.begun < self._rules.open_s

    def _enter(self, state: BreakerState) -> None:
        before, self._state = self._state, state
        if BreakerState.CLOSED in (before, state):
            self._since = self._monotonic()
        if before is BreakerState.CLOSED:
            self._opened_by = len(self._calls), self._bad
        self._round += 1
        self._calls.clear()
        self._bad, self._passed, self._trial = 0, 0, None
        if state is BreakerState.OPEN:
            self._opened_at = self._monotonic()
        self._changed(before, state)
