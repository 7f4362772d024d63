"""What is wrong, in words: worked out of what was seen, each with the page that shows it and what the runbook says."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple

from ledger.api.console.filters import count, span
from ledger.api.console.pages import path_of
from ledger.api.console_services import ApiStand
from ledger.application.gaps import Gap, Remedy, Stand, gaps_of
from ledger.application.operator_counts import OperatorCounts
from ledger.application.payment_ports import Payment
from ledger.application.pipeline import BooksStand, Pipeline, StreamStand
from ledger.application.provider_reading import BreakerTold

WAITING_S = 30.0
"""Records that wait for longer are behind, and somebody has to look."""
LATE_S = 5.0
"""Records that wait for longer are late: twice what `posting_freshness` asks for, as bursts do for a while."""
STUCK_SHOWN_MAX = 100


class Kind(StrEnum):
    """What can be wrong; each is the anchor of its section in the runbook."""

    POSTGRES_AWAY = "postgresql-is-away"
    KAFKA_AWAY = "kafka-is-away"
    NOBODY_POSTS = "nobody-posts"
    POSTING_BEHIND = "posting-is-behind"
    BOOKS_BEHIND = "the-books-are-behind-the-stream"
    RECORDS_EXPIRED = "records-expired-before-they-were-posted"
    NOBODY_ROLLS_WINDOWS = "nobody-makes-windows"
    WINDOWS_BEHIND = "windows-are-behind"
    LETTERS_OPEN = "dead-letters-are-open"
    PAYMENTS_STUCK = "payments-need-an-operator"
    PAYMENTS_OVERDUE = "payments-do-not-go-on"
    PROVIDER_SHUT = "a-provider-is-not-asked"
    OUTCOMES_UNHEARD = "the-api-does-not-hear-of-outcomes"
    CACHE_AWAY = "redis-is-away"
    VERIFICATION_FAILED = "the-last-verification-found-violations"


Level = Literal["bad", "warning"]


class Trouble(NamedTuple):
    """One thing that is wrong."""

    kind: Kind
    level: Level
    says: str
    page: str
    leads_to: str
    """What stands on that page, as the text of the link."""

    @property
    def runbook(self) -> str:
        """Where the runbook tells what to do."""
        return f"{path_of('runbook')}#{self.kind}"


class Seen(NamedTuple):
    """All that troubles are worked out of; what is None was not asked, or could not be."""

    pipeline: Pipeline
    api: ApiStand
    counts: OperatorCounts | None = None
    stuck: Sequence[Payment] = ()
    """Payments of the visitor's that need an operator, STUCK_SHOWN_MAX and one at most."""
    shut: Sequence[BreakerTold] = ()
    violations: int | None = None


def troubles_of(seen: Seen) -> list[Trouble]:
    """Tell what is wrong, what is worst first."""
    found = [
        *_away(seen.pipeline),
        *_posting(seen.pipeline),
        *_windows(seen.pipeline),
        *_payments(seen),
        *_letters(seen.counts),
        *_verification(seen.violations),
        *_api(seen.api),
    ]
    return sorted(found, key=lambda each: each.level != "bad")


def _away(pipeline: Pipeline) -> Iterator[Trouble]:
    if "postgres" in pipeline.faults:
        says = (
            "PostgreSQL cannot be read: balances and statements are not shown, and nothing is posted. "
            "Events wait in Kafka, and none is lost."
        )
        yield _pipeline(Kind.POSTGRES_AWAY, says, "books", "How it stands")
    if "kafka" in pipeline.faults:
        says = "Kafka does not answer: no events come in, and what was posted is not published."
        yield _pipeline(Kind.KAFKA_AWAY, says, "payments", "How it stands")


def _posting(pipeline: Pipeline) -> Iterator[Trouble]:
    payments, books = pipeline.payments, pipeline.books
    if payments is None:
        return
    waiting = (
        f"{count(payments.lag, 'record')} of {payments.topic} {'waits' if payments.lag == 1 else 'wait'}"
    )
    if not payments.members:
        says = f"No posting worker is at work: {waiting if payments.lag else 'nothing would be posted'}."
        yield _pipeline(Kind.NOBODY_POSTS, says, "payments", "Partitions and workers")
    elif (age := _age(payments, pipeline.at)) is not None and age > timedelta(seconds=LATE_S):
        level: Level = "bad" if age > timedelta(seconds=WAITING_S) else "warning"
        says = f"Posting is {'behind' if level == 'bad' else 'late'}: {waiting}, the oldest for {span(age)}."
        yield _pipeline(Kind.POSTING_BEHIND, says, "payments", "Partitions and workers", level)
    for gap in _gaps(payments, books):
        yield _gap_trouble(gap)


def _gaps(payments: StreamStand, books: BooksStand | None) -> Iterator[Gap]:
    if books is None:
        return
    bounds = {each.partition: (each.begin, each.end) for each in payments.partitions}
    committed = {each.partition: each.committed for each in payments.partitions if each.committed is not None}
    yield from gaps_of(Stand(payments.topic, books.positions, bounds, committed))


def _gap_trouble(gap: Gap) -> Trouble:
    where = (
        f"{count(gap.records, 'record')} of {gap.topic}, partition {gap.partition}, from offset {gap.first},"
    )
    if gap.remedy is Remedy.ACCEPT:
        says = f"{where} expired before they were posted: workers stop there until somebody decides."
        return _pipeline(Kind.RECORDS_EXPIRED, says, "payments", "Where each stands")
    says = (
        f"{where} were passed by, and the books do not have them: workers stop there until somebody decides."
    )
    return _pipeline(Kind.BOOKS_BEHIND, says, "payments", "Where each stands")


def _windows(pipeline: Pipeline) -> Iterator[Trouble]:
    entries = pipeline.entries
    if entries is None or not entries.written:
        return
    waiting = count(entries.lag, "entry", "entries")
    if not entries.members:
        says = f"No windows worker is at work: {waiting} wait, and the database answers in its place."
        yield _pipeline(Kind.NOBODY_ROLLS_WINDOWS, says, "entries", "Partitions and workers", "warning")
    elif (age := _age(entries, pipeline.at)) is not None and age > timedelta(seconds=WAITING_S):
        says = f"Windows are behind: {waiting} wait, the oldest for {span(age)}."
        yield _pipeline(Kind.WINDOWS_BEHIND, says, "entries", "Partitions and workers", "warning")


def _age(stand: StreamStand, now: datetime) -> timedelta | None:
    return None if stand.oldest_waiting_at is None else now - stand.oldest_waiting_at


def _payments(seen: Seen) -> Iterator[Trouble]:
    number = seen.counts.payments_stuck if seen.counts else len(seen.stuck)
    if number == 1 and len(seen.stuck) == 1:
        (payment,) = seen.stuck
        says = f"1 payment needs an operator: {payment.saga.stuck or 'a step could not be done'}."
        page = path_of("payments", payment.saga.tenant, payment.saga.id)
        yield Trouble(Kind.PAYMENTS_STUCK, "bad", says, page, "The payment")
    elif number:
        at_least = "at least " if number > STUCK_SHOWN_MAX and seen.counts is None else ""
        says = f"{at_least}{count(number, 'payment')} {'needs' if number == 1 else 'need'} an operator."
        page = path_of("payments", state="needs_operator")
        yield Trouble(Kind.PAYMENTS_STUCK, "bad", says.capitalize(), page, "The payments")
    if seen.counts is not None and seen.counts.payments_overdue:
        overdue = seen.counts.payments_overdue
        says = f"{count(overdue, 'payment')} should have gone on a minute ago: payments workers are away or full."
        yield Trouble(
            Kind.PAYMENTS_OVERDUE, "bad", says, path_of("payments", state="under_way"), "The payments"
        )
    for each in seen.shut:
        yield _shut(each)


def _shut(told: BreakerTold) -> Trouble:
    cause = (
        f"{told.bad} of {told.calls} calls failed or were slow"
        if told.calls
        else "it cannot be called as it is set"
    )
    says = f"The provider {told.provider} of {told.tenant} is not asked: {cause}."
    page = path_of("payments", state="under_way")
    return Trouble(Kind.PROVIDER_SHUT, "warning", says, page, "Payments under way")


def _letters(counts: OperatorCounts | None) -> Iterator[Trouble]:
    if counts is not None and counts.letters_open:
        number = counts.letters_open
        says = f"{count(number, 'dead letter')} {'is' if number == 1 else 'are'} open: records that are no events."
        yield Trouble(Kind.LETTERS_OPEN, "warning", says, path_of("letters"), "The dead letters")


def _verification(violations: int | None) -> Iterator[Trouble]:
    if violations:
        says = f"The last verification found {count(violations, 'violation')}."
        yield Trouble(Kind.VERIFICATION_FAILED, "bad", says, path_of("trial-balance"), "The verification")


def _api(api: ApiStand) -> Iterator[Trouble]:
    if api.follows_outcomes is False:
        says = "The API does not hear of outcomes: who waits for one is answered before it is there."
        yield _pipeline(Kind.OUTCOMES_UNHEARD, says, "api", "The API", "warning")
    if api.cache_is_away:
        says = "Redis does not answer: each process of the API caches for itself."
        yield _pipeline(Kind.CACHE_AWAY, says, "api", "The API", "warning")


def _pipeline(kind: Kind, says: str, part: str, leads_to: str, level: Level = "bad") -> Trouble:
    return Trouble(kind, level, says, f"{path_of('pipeline')}#{part}", leads_to)
