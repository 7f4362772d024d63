"""Why a payment is where it is, in words for people."""

from datetime import UTC, datetime

from ledger.application.provider_reading import BreakerTold
from ledger.domain.payments.saga import Saga, State, Step

_DOES = {
    Step.CHARGE: "charge",
    Step.REFUND: "refund",
    Step.CAPTURE: "capture",
    Step.RELEASE: "void",
}


NOT_CALLABLE = "it was removed, or its settings or secrets are not such as it can be called with"


def why(saga: Saga, shut: BreakerTold | None = None) -> str:
    """Tell why a payment is where it is; when it goes on by itself stands in `Saga.next_at`.

    `shut`: the breaker of its provider, if nobody's calls pass.
    """
    if saga.state is State.NEEDS_OPERATOR:
        return f"It needs an operator: {saga.stuck or 'a step could not be done'}."
    if saga.state.is_end:
        return _ended(saga)
    if saga.step in (Step.CHARGE, Step.REFUND):
        return _because(saga, f"{_asking(saga)}{_waiting(saga, shut)}")
    return _because(saga, f"The books have not posted its {_DOES[saga.step]} yet." if saga.step else "")


def goes_on_at(saga: Saga, shut: BreakerTold | None = None) -> datetime | None:
    """Tell when a payment goes on by itself: not before its provider is tried again. None: it is at an end."""
    if saga.next_at is None or shut is None or shut.retry_at is None or not _will_ask(saga):
        return saga.next_at
    return max(saga.next_at, shut.retry_at)


def _will_ask(saga: Saga) -> bool:
    """Whether its provider is what it asks next."""
    return saga.step in (Step.CHARGE, Step.REFUND) and saga.awaiting is None


def _ended(saga: Saga) -> str:
    if saga.state is State.SETTLED:
        return "It is settled."
    return _because(saga, "It is at its end.")


def _asking(saga: Saga) -> str:
    verb = _DOES[saga.step] if saga.step else ""
    if saga.state is State.FUNDS_HELD:
        return "Its funds are held; the provider was not asked yet."
    if saga.awaiting is not None and saga.queries:
        return f"The provider is asked what became of its {verb}."
    if saga.awaiting is not None:
        return f"The provider is asked for the {verb}, for the {_time(saga.tries)} time."
    if saga.unknown_since is not None:
        return f"It is not known what became of its {verb}: the provider will be asked."
    if not saga.tries and saga.last_answer != "retry_later":
        return f"The provider will be asked for the {verb}."
    return f"The provider did nothing ({_answer(saga)}): the {verb} will be tried again."


def _waiting(saga: Saga, shut: BreakerTold | None) -> str:
    """Tell of a provider that is not asked: then its breaker says when a payment goes on."""
    if shut is None or not _will_ask(saga):
        return ""
    cause = f"{shut.bad} of {shut.calls} calls failed or were slow" if shut.calls else NOT_CALLABLE
    told = f" Its provider is not asked since {_moment(shut.since)}: {cause}."
    if shut.retry_at is None:
        return f"{told} It is tried again with the next call."
    is_later = saga.next_at is not None and saga.next_at < shut.retry_at
    then = ", and this payment does not go on before" if is_later else ""
    return f"{told} It is tried again at {_moment(shut.retry_at)}{then}."


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _answer(saga: Saga) -> str:
    return (saga.last_answer or "no answer").replace("_", " ")


def _time(tries: int) -> str:
    suffix = "th" if tries % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(tries % 10, "th")
    return f"{tries}{suffix}"


def _because(saga: Saga, text: str) -> str:
    return text if saga.reason is None else f"{text} It does not settle: {saga.reason}."
