"""Where Kafka and PostgreSQL are: as set, else as the running stack has them."""

from dataclasses import dataclass

from ledger.adapters.kafka.access import KafkaAccess, kafka_access
from ledger.config import Settings
from streams.embedded.errors import StackAwayError
from streams.embedded.state import StackRecord, StateDirectory


@dataclass(frozen=True, slots=True)
class Addresses:
    """What every command needs to reach the servers."""

    kafka: KafkaAccess
    postgres_dsn: str


def find_addresses(settings: Settings) -> Addresses:
    """Both addresses; raises StackAwayError, whose message names the remedy."""
    return Addresses(find_kafka(settings), find_postgres(settings))


def find_kafka(settings: Settings) -> KafkaAccess:
    """Kafka as it is set, else the open one of the stack; raises StackAwayError."""
    if settings.kafka_bootstrap:
        return kafka_access(settings, settings.kafka_bootstrap)
    return KafkaAccess(_running(settings).kafka or _away("Kafka", "LEDGER_KAFKA_BOOTSTRAP"))


def find_postgres(settings: Settings) -> str:
    """The address of PostgreSQL; raises StackAwayError."""
    return settings.postgres_dsn or _running(settings).postgres or _away("PostgreSQL", "LEDGER_POSTGRES_DSN")


def _running(settings: Settings) -> StackRecord:
    state = StateDirectory(settings.state_dir)
    # A record outlives its supervisor when that is killed; only a living one vouches for it.
    return state.read() if state.supervisor() else StackRecord(phase="stopped")


def _away(server: str, variable: str) -> str:
    raise StackAwayError(
        f"No {server}: no stack runs here, and {variable} is not set.",
        f"Start a stack with `ledger up`, or set {variable}.",
    )
