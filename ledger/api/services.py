"""What the API stands on: use cases and readers, made by the composition root."""

from dataclasses import dataclass

from ledger.application.ports import Clock
from ledger.application.reading import BalanceReader, HistoryReader
from ledger.config import Settings
from ledger.observability.signals import Signals


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that routes may use."""

    settings: Settings
    signals: Signals
    clock: Clock
    balances: BalanceReader
    history: HistoryReader
