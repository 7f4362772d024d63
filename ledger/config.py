"""Settings: environment variables with the prefix LEDGER_, read once by the composition root."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "LEDGER_"

_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
_SERVER = rf"(\[[0-9a-fA-F:.]+\]|[^\s,:/\[\]]+):{_PORT}"


def environment_name(setting: str) -> str:
    """Name the environment variable of a setting."""
    return PREFIX + setting.upper()


class Settings(BaseSettings):
    """Every setting of every part, with its default and its unit in the name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    kafka_bootstrap: str | None = Field(
        None,
        pattern=rf"^{_SERVER}(, ?{_SERVER})*$",
        description="host:port[,host:port]; none: the stack of `ledger up`",
    )
    postgres_dsn: str | None = Field(
        None,
        pattern=r"^postgres(ql)?://",
        description="postgresql://…; none: the stack of `ledger up`",
    )
    postgres_schema: str = Field(
        "ledger", pattern=r"^[a-z][a-z0-9_]{0,40}$", description="schema of the books"
    )
    state_dir: Path = Field(Path(".ledger"), description="data, logs, ports and pids of the embedded stack")
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="level of the JSON logs"
    )

    partitions: int = Field(4, ge=1, le=1024, description="partitions of a topic that this ledger makes")
    replication_factor: int = Field(1, ge=1, le=9, description="replicas of a topic; 3 outside development")
    payments_topic: str = Field("payments", description="events in")
    posting_group: str = Field("ledger-post", description="consumer group of the posting workers")
    outcomes_topic: str = Field("ledger.outcomes", description="one outcome for each event handled")
    entries_topic: str = Field("ledger.entries", description="one event for each posted entry")
    dead_letters_topic: str = Field("ledger.dead-letters", description="records that cannot be events")

    payments_retention_days: int = Field(30, ge=0, description="how long Kafka keeps payments; 0: for ever")
    derived_retention_days: int = Field(
        7, ge=0, description="how long it keeps outcomes, entries, dead letters"
    )

    dedupe_horizon_days: int = Field(90, ge=1, description="an event id older than this is refused")
    future_tolerance_s: int = Field(300, ge=0, description="an event id further ahead than this is refused")
    record_bytes_max: int = Field(256 * 1024, ge=1024, description="a larger record is a dead letter")
    dead_letter_bytes_max: int = Field(
        16 * 1024**2,
        ge=1024**2,
        le=64 * 1024**2,
        description="of a larger record the books keep no more",
    )
    auto_open_accounts: bool = Field(
        True, description="open accounts on first use for tenants made from now on"
    )

    workers: int = Field(1, ge=1, le=64, description="posting workers that `ledger up` starts")
    worker_host: str = Field("127.0.0.1", description="where a worker's live, ready and metrics listen")
    worker_port: int = Field(
        0, ge=0, le=65535, description="live, ready and metrics of a worker; 0: any free port"
    )
    batch_records_max: int = Field(2000, ge=1, le=100_000, description="records posted in one transaction")
    lane_chunks_max: int = Field(2, ge=1, description="chunks waiting for a partition's lane")
    account_cache_entries: int = Field(200_000, ge=0, description="balance rows whose ids a worker remembers")
    commit_interval_ms: int = Field(500, ge=10, description="how often the frontier is committed to Kafka")
    session_timeout_s: float = Field(
        10.0, gt=0, description="a worker silent for longer loses its partitions"
    )
    rebalance_timeout_s: float = Field(60.0, gt=0, description="how long a rebalance waits for a worker")
    watchdog_s: float = Field(
        120.0, gt=0, description="a worker with lag and a frontier that stands still exits"
    )
    hold_sweep_s: float = Field(2.0, gt=0, description="how often expired holds are looked for")

    postgres_connect_timeout_s: float = Field(5.0, gt=0, description="connecting to PostgreSQL")
    postgres_statement_timeout_s: float = Field(15.0, gt=0, description="one statement")
    postgres_lock_timeout_s: float = Field(10.0, gt=0, description="waiting for a row lock")
    postgres_idle_in_transaction_s: float = Field(
        10.0, gt=0, description="a stopped worker's transaction is ended"
    )
    retry_backoff_max_s: float = Field(5.0, gt=0, description="longest wait between two tries of a batch")
