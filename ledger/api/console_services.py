"""What the console stands on beside what the API does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ledger.api.sessions import Sessions
from ledger.application.decide_payments import PaymentDesk
from ledger.application.operator_counts import OperatorBoard
from ledger.application.reading import HoldLister
from ledger.application.watch_pipeline import WatchPipeline


class ApiStand(NamedTuple):
    """What this process knows of itself; None: it is not set up."""

    in_flight: int
    queued: int
    follows_outcomes: bool | None
    cache_is_away: bool


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
    operators: frozenset[str] = frozenset()
    """Tenants whose admin keys are those of operators: they see what belongs to no tenant."""
