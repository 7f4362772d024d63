"""A Faust app whose topics come in chunks, with every setting that keeps it from losing or stalling."""

import asyncio
import os
from collections.abc import Iterable
from typing import Any, cast

import faust
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.serializers.schemas import Schema
from faust.types import AppT, Message
from mode.supervisors import CrashingSupervisor

from ledger.adapters.kafka.access import kafka_access
from ledger.config import COMPRESSION, Settings
from ledger.observability.signals import Signals
from streams.transport.consumer import ChunkedTransport
from streams.transport.errors import ConfigurationError
from streams.transport.flow import Flow
from streams.transport.tables import PromptTables

# A fetch of a partition should hold a whole chunk, even of large records that do not compress.
FETCH_BYTES_MIN = 4 * 1024 * 1024
RECORD_BYTES_TYPICAL = 1024
EVENTS_BUFFERED_MAX = 64


class ChunkedApp(faust.App):
    """A Faust app with a chunked flow."""

    flow: Flow
    crashing: asyncio.Future[None]


class AsTheyAre(Schema[Any, Any]):
    """Hands on keys and values untouched.

    Faust acks an event that does not decode while earlier ones still wait, so nothing may be decoded here:
    the handler gets bytes, and decides what is a dead letter.
    """

    def loads_key(self, app: AppT, message: Message, **_: Any) -> Any:
        """The key as it came."""
        return message.key

    def loads_value(self, app: AppT, message: Message, **_: Any) -> Any:
        """The chunk, or the bytes, as they came."""
        return message.value


def chunked_app(
    name: str,
    settings: Settings,
    signals: Signals,
    topics: Iterable[str],
    *,
    changelogs: Iterable[str] = (),
    **options: Any,
) -> ChunkedApp:
    """An app of its own consumer group `name`; `options` are Faust's and go before what is set here."""
    app = ChunkedApp(name, **{**_options(name, settings), **options})
    app.flow = Flow(settings, signals, topics, changelogs)
    app.transport = ChunkedTransport(app.conf.broker_consumer, app, app.flow)
    return app


def chunked_topic(app: ChunkedApp, name: str) -> faust.Topic:
    """The topic for an agent of this app; it must be among those the app takes in chunks."""
    if name not in app.flow.topics | app.flow.changelogs:
        raise ConfigurationError(f"{name} is not among the chunked topics of {app.conf.id}")
    return cast(faust.Topic, app.topic(name, schema=AsTheyAre()))


def _options(name: str, settings: Settings) -> dict[str, Any]:
    if settings.kafka_bootstrap is None:
        raise ConfigurationError("kafka_bootstrap is not set")
    return {
        **_broker_options(settings),
        **_consumer_options(settings),
        "TableManager": PromptTables,
        "store": "memory://",
        "datadir": settings.state_dir / "workers" / f"{name}-{os.getpid()}",
        "processing_guarantee": "at_least_once",
        # A standby of a memory store is thrown away when recovery ends.
        "table_standby_replicas": 0,
        # No stray topics: ours are made before the workers start, with equal partition counts.
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication_factor,
        # Two workers on one machine must not meet at port 6066.
        "web_enabled": False,
        "agent_supervisor": CrashingSupervisor,
        "autodiscover": False,
    }


def _broker_options(settings: Settings) -> dict[str, Any]:
    servers = (settings.kafka_bootstrap or "").split(",")
    return {
        "broker": [f"kafka://{server.strip()}" for server in servers],
        "broker_credentials": _credentials(settings),
        "broker_session_timeout": settings.session_timeout_s,
        "broker_heartbeat_interval": min(3.0, settings.session_timeout_s / 3),
        "broker_rebalance_timeout": settings.rebalance_timeout_s,
        "broker_commit_interval": settings.commit_interval_ms / 1000,
        "broker_max_poll_records": settings.batch_records_max,
        "producer_acks": -1,
        "producer_compression_type": COMPRESSION,
        "producer_linger": 0.005,
    }


def _credentials(settings: Settings) -> Credentials | None:
    access = kafka_access(settings, settings.kafka_bootstrap or "")
    context = access.ssl_context()
    if access.has_credentials:
        # Without a context, Faust would send what it is given in the clear.
        return SASLCredentials(
            username=access.user, password=access.password, mechanism=access.mechanism, ssl_context=context
        )
    return SSLCredentials(context) if context else None


def _consumer_options(settings: Settings) -> dict[str, Any]:
    return {
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": max(
            FETCH_BYTES_MIN, 2 * settings.record_bytes_max, settings.batch_records_max * RECORD_BYTES_TYPICAL
        ),
        "stream_wait_empty": True,
        # Chunks wait in lanes; this only has to hold what is on the way to them.
        "stream_buffer_maxsize": EVENTS_BUFFERED_MAX,
        "stream_recovery_delay": 0.0,
    }
