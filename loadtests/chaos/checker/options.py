"""What the checker is told: where everything is, and what it is called."""

from dataclasses import dataclass, field
from pathlib import Path

API_KEYS = "CHECKER_API_KEYS"
"""The variable with the API keys that the checker reads with, divided by commas."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics."""

    payments: str = "payments"
    outcomes: str = "ledger.outcomes"
    entries: str = "ledger.entries"
    dead_letters: str = "ledger.dead-letters"

    @classmethod
    def named(cls, prefix: str) -> "Topics":
        """Give those of a ledger whose topics begin so; without a prefix, the usual ones."""
        if not prefix:
            return cls()
        return cls(*(prefix + name for name in ("payments", "outcomes", "entries", "dead-letters")))


@dataclass(frozen=True, slots=True)
class Options:
    """One check. Times are in seconds."""

    kafka: str
    postgres: str
    schema: str = "ledger"
    topics: Topics = field(default_factory=Topics)
    groups: dict[str, str] = field(default_factory=dict)
    """Consumer groups whose lag must be zero, each with its topic."""
    sent: tuple[Path, ...] = ()
    api: str | None = None
    api_keys: tuple[str, ...] = ()
    chained: bool = False
    """Whether a worker of the audit chain has come to the end: then every transaction has its link."""
    reads: tuple[Path, ...] = ()
    provider: str | None = None
    provider_name: str = "simulated"
    sample: int = 200
    """So many accounts, transactions, holds and payments are read through the API."""
    rebuild: bool = False
    after_loss: bool = False
    """Whether a fail-over has lost commits, and a replay mended it: sagas do not know of all that they published."""
    wait_s: float = 60.0
    """So long the lag may take to return to zero."""
