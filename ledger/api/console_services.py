"""What the console stands on beside what the API does."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.api.sessions import Sessions
from ledger.application.dead_letters import DeadLetters, DropLetters, RequeueLetters
from ledger.application.decide_payments import PaymentDesk
from ledger.application.letter_events import FindLetterEvent
from ledger.application.open_streams import OpenStreams
from ledger.application.operator_counts import OperatorBoard, OperatorCounts
from ledger.application.origins import Origins, RecordReader
from ledger.application.payment_ports import Payment, PaymentReader
from ledger.application.provider_reading import BreakerTold
from ledger.application.reading import HoldLister
from ledger.application.reports import Reports, Verifications
from ledger.application.shared_looks import SharedLooks
from ledger.application.watch_pipeline import WatchPipeline

STREAMS_MAX = 200
TENANT_STREAMS_MAX = 50


class Waiting(NamedTuple):
    """What waits for people; what could not be asked is None, or empty."""

    counts: OperatorCounts | None = None
    stuck: Sequence[Payment] = ()
    shut: Sequence[BreakerTold] = ()
    violations: int | None = None
    """Of the last verification; None as well where none was kept."""
    is_whole: bool = True
    """False: something could not be asked."""


class ApiStand(NamedTuple):
    """What this process knows of itself; None: it is not set up."""

    in_flight: int
    queued: int
    follows_outcomes: bool | None
    cache_is_away: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterDesk:
    """Dead letters, and what is done about them; without `requeue` nothing can be sent again."""

    letters: DeadLetters
    find_event: FindLetterEvent
    drop: DropLetters
    requeue: RequeueLetters | None = None
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Each deed takes two connections: two at once could wait for each other's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleServices:
    """What is None is not set up, and its pages say so."""

    sessions: Sessions
    watch: WatchPipeline
    stand: Callable[[], ApiStand]
    runbook: Callable[[], str]
    """Gives the runbook as Markdown."""
    holds: HoldLister
    board: OperatorBoard | None = None
    desk: PaymentDesk | None = None
    payments: PaymentReader | None = None
    """Reads the payments of all tenants, for operators."""
    letters: LetterDesk | None = None
    origins: Origins | None = None
    records: RecordReader | None = None
    reports: Reports | None = None
    verifications: Verifications | None = None
    waiting: SharedLooks[Waiting]
    streams: OpenStreams = field(default_factory=lambda: OpenStreams(STREAMS_MAX, TENANT_STREAMS_MAX))
    """Overviews that are sent live."""
    operators: frozenset[str] = frozenset()
    """Tenants whose admin keys are those of operators: they see what belongs to no tenant."""
