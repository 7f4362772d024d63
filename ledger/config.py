"""Settings: environment variables with the prefix LEDGER_, read once by the composition root."""

import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.domain.payments.rules import PaymentRules

PREFIX = "LEDGER_"
COMPRESSION = "snappy"
"""Of all records: aiokafka packs lz4 at its slowest level, 8 µs a record against 0.5, for a fifth less bytes."""

_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
_HOST = re.compile(rf"(\[[0-9a-fA-F:.%]+\]|[^:\[\]]*)(:{_PORT}?)?")
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
    kafka_security_protocol: str = Field(
        "PLAINTEXT",
        pattern="^(PLAINTEXT|SSL|SASL_SSL)$",
        description="how Kafka is spoken to: open, encrypted, or encrypted and as a user",
    )
    kafka_ca_file: Path | None = Field(
        None, description="PEM file of who vouches for the brokers; none: those whom this machine believes"
    )
    kafka_sasl_mechanism: str = Field(
        "SCRAM-SHA-512",
        pattern="^(SCRAM-SHA-512|SCRAM-SHA-256|PLAIN)$",
        description="how the user is proved to Kafka",
    )
    kafka_sasl_user: str | None = Field(
        None, validate_default=True, description="the user of Kafka: with SASL_SSL, and only with it"
    )
    kafka_sasl_password: str | None = Field(
        None, validate_default=True, description="the user's password: with SASL_SSL, and only with it"
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
    traces_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        description="collector that traces go to, as OTLP over HTTP: http://host:4318; none: no traces",
    )
    traces_sample_share: float = Field(
        0.01, ge=0, le=1, description="share of the traces that begin here which are kept"
    )
    traces_page: str | None = Field(
        None,
        pattern=r"^https?://[^\s{}]+\{trace\}[^\s{}]*$",
        description="where people read a trace, `{trace}` for its id: http://host:16686/trace/{trace}; none: no link",
    )

    partitions: int = Field(4, ge=1, le=1024, description="partitions of a topic that this ledger makes")
    replication_factor: int = Field(1, ge=1, le=9, description="replicas of a topic; 3 outside development")
    payments_topic: str = Field("payments", description="events in")
    posting_group: str = Field("ledger-post", description="consumer group of the posting workers")
    outcomes_topic: str = Field("ledger.outcomes", description="one outcome for each event handled")
    entries_topic: str = Field("ledger.entries", description="one event for each posted entry")
    dead_letters_topic: str = Field("ledger.dead-letters", description="records that cannot be events")
    windows_group: str = Field("ledger-windows", description="consumer group of the windows workers")
    windows_topic: str = Field("ledger.windows", description="changelog of the windows, compacted")

    payments_retention_days: int = Field(30, ge=0, description="how long Kafka keeps payments; 0: for ever")
    derived_retention_days: int = Field(
        7, ge=0, description="how long it keeps outcomes, entries, dead letters"
    )

    archive_url: str | None = Field(
        None, description="where payments are archived: a directory, s3://bucket/prefix, gs://…, az://…"
    )

    chain_url: str | None = Field(
        None,
        description="where checkpoints of the audit chain are kept: a directory, s3://bucket/prefix, gs://…, az://…",
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
    worker_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+$",
        description="how the API and other workers reach this one; none: its host, or what Kafka sees, and port",
    )
    batch_records_max: int = Field(8000, ge=1, le=100_000, description="records posted in one transaction")
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

    webhooks_topic: str = Field("ledger.webhooks", description="webhooks of providers that were believed")
    payments_group: str = Field("ledger-payments", description="consumer group of the payments workers")
    payment_rules: dict[str, int | float] = Field(
        {}, description="limits of payments that differ from their defaults, as a JSON object"
    )
    payment_lease_s: float = Field(
        2.0,
        gt=0,
        le=3600,
        description="a payment that a worker took and did not move is due again after this",
    )
    payment_look_ms: int = Field(200, ge=1, description="how often payments that are due are looked for")
    payment_claim_max: int = Field(500, ge=1, le=10_000, description="payments that are taken at once")
    payments_in_hand_max: int = Field(2000, ge=1, description="payments that a worker works on at a time")
    provider_calls_max: int = Field(
        32,
        ge=1,
        description="calls at a time of one worker to a provider that does not say how many it takes",
    )

    chain_group: str = Field("ledger-chain", description="consumer group of the chain workers")
    chain_settle_s: float = Field(
        300.0,
        gt=0,
        description="a transaction of which no outcome told is linked when it was posted longer ago than this",
    )
    chain_sweep_s: float = Field(600.0, gt=0, description="how often such transactions are looked for")

    payments_workers: int = Field(1, ge=0, le=64, description="payments workers that `ledger up` starts")
    chain_workers: int = Field(1, ge=0, le=64, description="chain workers that `ledger up` starts")
    windows_workers: int = Field(1, ge=0, le=64, description="windows workers that `ledger up` starts")
    windows_urls: str | None = Field(
        None,
        pattern=r"^https?://[^\s,/]+(, ?https?://[^\s,/]+)*$",
        description="http://host:port[,…] of windows workers, one is enough; none: those of `ledger up`",
    )
    windows_store: str = Field(
        "memory", pattern="^(memory|rocksdict)$", description="where a windows worker keeps its table"
    )
    windows_chunk_records_max: int = Field(
        10_000, ge=1, le=100_000, description="entries that a windows worker takes at once"
    )
    windows_checkpoint_ms: int = Field(
        500, ge=1, le=10_000, description="windows are written to their changelog at least this often"
    )
    windows_checkpoint_records: int = Field(
        20_000, ge=1, description="entries after which they are written sooner"
    )
    windows_minutes_kept_h: float = Field(1, ge=0.1, description="hours of minutes that the stream keeps")
    windows_hours_kept_d: int = Field(3, ge=1, description="days of hours that the stream keeps")
    windows_days_kept_d: int = Field(90, ge=1, description="days of days that the stream keeps")
    windows_gap_s: float = Field(5.0, gt=0, description="a version missing for longer is told")
    window_read_timeout_s: float = Field(
        0.5, gt=0, description="the API asks a windows worker no longer than this, then the database"
    )
    sealing_keys: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{43}=?(, ?[A-Za-z0-9_-]{43}=?)*$",
        description="keys that seal the secrets of providers, the newest first: each 32 bytes in URL-safe base64; "
        "none: the stack's own",
    )
    internal_token: str | None = Field(
        None,
        min_length=16,
        description="what workers ask of those who read their windows; none: the stack's own",
    )

    api_host: str = Field("127.0.0.1", description="where the API listens")
    api_port: int = Field(8080, ge=0, le=65535, description="port of the API; 0: any free port")
    api_trusted_proxies: str | None = Field(
        None,
        description="addresses and networks of the proxies before the API, with commas between: of these, "
        "`X-Forwarded-For` is believed",
    )
    operations_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="another port for the API's health and metrics; none: the API's own",
    )
    key_secret: str | None = Field(
        None, min_length=16, description="under which keys of the API are stored; none: the stack's own"
    )
    postgres_replica_dsn: str | None = Field(
        None,
        pattern=r"^postgres(ql)?://",
        description="a standby for reads that may be stale; none: the primary",
    )
    api_strong_connections: int = Field(6, ge=1, le=200, description="connections for balances and accounts")
    api_heavy_connections: int = Field(
        3, ge=1, le=200, description="connections for statements, windows, lists and totals"
    )
    api_queue_max: int = Field(
        200, ge=1, description="requests waiting for a connection; more are turned away"
    )
    api_strong_timeout_s: float = Field(2.0, gt=0, description="a read of a balance, with its waiting")
    api_heavy_timeout_s: float = Field(10.0, gt=0, description="a heavy read, with its waiting")
    api_body_bytes_max: int = Field(4 * 1024**2, ge=1024, description="a larger request body is refused")
    api_events_max: int = Field(1000, ge=1, le=10_000, description="events in one request")
    api_shutdown_s: float = Field(10.0, gt=0, description="running requests may finish for this long")
    live_streams_max: int = Field(500, ge=0, description="open streams of balance changes, for all tenants")
    live_streams_tenant_max: int = Field(100, ge=0, description="open streams of balance changes of a tenant")
    quota_requests_s: float = Field(
        5000.0, ge=0, description="requests a second of a tenant at one API process; 0: any"
    )
    quota_events_s: float = Field(
        20_000.0, ge=0, description="events a second of a tenant at one API process; 0: any"
    )
    quota_refused_webhooks_s: float = Field(
        20.0, ge=0, description="unsigned webhooks a second from one address at one API process; 0: any"
    )
    console: bool = Field(True, description="serve the console at /console")
    console_session_s: int = Field(
        3600, ge=60, le=86_400, description="a session of the console ends so long after its last use"
    )
    console_session_max_s: int = Field(
        43_200,
        ge=60,
        le=604_800,
        description="a session of the console ends so long after its beginning at most",
    )
    console_operators: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.:-]{1,64}(, ?[A-Za-z0-9_.:-]{1,64})*$",
        description="tenants whose admin keys see in the console what belongs to no tenant, with commas between: "
        "dead letters, reports, the payments of all",
    )
    reports_dir: Path | None = Field(
        None,
        description="where `ledger verify`, `ledger replay` and the benchmark keep their reports, and the console "
        "finds them; none: `reports` in the state directory, where there is one, and replays and benchmarks keep none",
    )
    redis_url: str | None = Field(
        None,
        pattern=r"^(rediss?|unix)://",
        description="shared cache of balances; none: each process its own",
    )
    redis_timeout_s: float = Field(0.1, gt=0, description="Redis may take this long, then the books are read")
    cache_ttl_s: float = Field(5.0, gt=0, description="a cached balance may be this old")
    cache_entries_max: int = Field(100_000, ge=1, description="balances cached in a process")

    postgres_connect_timeout_s: float = Field(
        5.0, gt=0, description="connecting to PostgreSQL, and finding out whether it is there"
    )
    postgres_statement_timeout_s: float = Field(
        15.0, gt=0, description="one statement; 5 s later without a word, all connections are given up"
    )
    postgres_lock_timeout_s: float = Field(10.0, gt=0, description="waiting for a row lock")
    postgres_idle_in_transaction_s: float = Field(
        10.0, gt=0, description="a stopped worker's transaction is ended"
    )
    retry_backoff_max_s: float = Field(5.0, gt=0, description="longest wait between two tries of a batch")

    @field_validator("postgres_dsn", "postgres_replica_dsn", "redis_url")
    @classmethod
    def _names_servers(cls, given: str | None) -> str | None:
        # A password with a bare / or # would be read as a port, and told in the fault of whoever reads it so.
        parts = urlsplit(given or "")
        servers = parts.netloc.rpartition("@")[2].split(",")
        if parts.fragment or not all(_HOST.fullmatch(each) for each in servers):
            raise ValueError("it names no host[:port]; in a password, / is %2F, and # is %23")
        return given

    @field_validator("kafka_security_protocol")
    @classmethod
    def _is_of_servers_that_are_set(cls, given: str, others: ValidationInfo) -> str:
        if given != "PLAINTEXT" and not others.data.get("kafka_bootstrap"):
            raise ValueError("the stack of `ledger up` is open: set LEDGER_KAFKA_BOOTSTRAP as well")
        return given

    @field_validator("kafka_sasl_user", "kafka_sasl_password")
    @classmethod
    def _is_asked_for(cls, given: str | None, others: ValidationInfo) -> str | None:
        wanted = others.data.get("kafka_security_protocol")
        # A user who is set and never shown would look like protection.
        if wanted is not None and bool(given) != (wanted == "SASL_SSL"):
            raise ValueError(f"{'not ' if given else ''}needed with {wanted}")
        return given

    @field_validator("api_trusted_proxies")
    @classmethod
    def _are_networks(cls, given: str | None) -> str | None:
        for each in given.split(",") if given else ():
            ip_network(each.strip())
        return given

    @field_validator("payment_rules")
    @classmethod
    def _are_limits(cls, given: dict[str, int | float]) -> dict[str, int | float]:
        try:
            msgspec.convert(given, PaymentRules)
        except msgspec.ValidationError as fault:
            raise ValueError(str(fault)) from fault
        return given
