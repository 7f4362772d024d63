"""The windows worker: a Faust app of its own, with its agent, its table and its checkpoints."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

import faust
from faust.types import StreamT

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from ledger.config import Settings
from ledger.domain.aging import Retention
from ledger.observability.signals import Signals
from streams.agents.roll_windows import RollChunk
from streams.beside import run_beside
from streams.embedded.addresses import find_kafka
from streams.embedded.errors import EmbeddedError
from streams.publishing import PatientPublisher
from streams.topics import make_windows_topic
from streams.transport.app import ChunkedApp, chunked_app, chunked_topic
from streams.transport.lanes import Handler, PartitionLanes
from streams.transport.publisher import BatchPublisher
from streams.windows.book import WindowBook
from streams.windows.checkpoints import Checkpoints
from streams.windows.directory import own_directory
from streams.windows.keeper import BookKeeper
from streams.windows.missing import MissingVersions
from streams.windows.pace import AppPace
from streams.windows.reach import AppReach

LOOK_S = 1.0
MISSING_TOLD_MAX = 20
"""Of one look; the metric counts them all."""

HOUR_S, DAY_S = 3600, 86_400


class PartitionsDifferError(EmbeddedError):
    """Windows could not be in the partition of their entries."""


@dataclass(frozen=True, slots=True)
class WindowsWorker:
    """What runs: the app, and the book that its readers read."""

    app: ChunkedApp
    book: WindowBook


def retention_of(settings: Settings) -> Retention:
    """Say how long windows are kept."""
    return Retention(
        round(settings.windows_minutes_kept_h * HOUR_S),
        settings.windows_hours_kept_d * DAY_S,
        settings.windows_days_kept_d * DAY_S,
    )


def create_windows_app(settings: Settings, signals: Signals, partitions: int, **options: Any) -> ChunkedApp:
    """Make the windows app, without its table and agent: `rolling` gives it those."""
    return chunked_app(
        settings.windows_group,
        settings.model_copy(update={"batch_records_max": settings.windows_chunk_records_max}),
        signals,
        [settings.entries_topic],
        changelogs=[settings.windows_topic],
        topic_partitions=partitions,
        **options,
    )


def add_rolling(app: ChunkedApp, settings: Settings, handler: Handler) -> None:
    """Give the app its agent."""
    lanes = PartitionLanes(app, handler)

    @app.agent(chunked_topic(app, settings.entries_topic), name="roll_windows")
    async def roll_windows(stream: StreamT[Any]) -> None:
        await lanes.run(cast(faust.Stream[Any], stream))


@asynccontextmanager
async def rolling(settings: Settings, signals: Signals) -> AsyncIterator[WindowsWorker]:
    """Compose a windows worker on the Kafka that is set or that `ledger up` started."""
    kafka = find_kafka(settings)
    settings = settings.model_copy(update={"kafka_bootstrap": kafka.servers})
    async with AsyncExitStack() as stack:
        partitions = await check_topics(settings, kafka, signals)
        options: dict[str, Any] = {}
        if settings.windows_store == "rocksdict":
            directory = own_directory(settings.state_dir / "workers", settings.windows_group)
            options = {"store": "rocksdb://", "datadir": stack.enter_context(directory)}
        app = create_windows_app(settings, signals, partitions, **options)
        batches = BatchPublisher(kafka)
        await batches.start()
        stack.push_async_callback(batches.stop)
        worker, tasks = _compose(
            app, settings, signals, PatientPublisher(batches, app.flow, signals), partitions
        )
        run_beside(app, stack, *tasks)
        yield worker


def _compose(
    app: ChunkedApp, settings: Settings, signals: Signals, publisher: PatientPublisher, partitions: int
) -> tuple[WindowsWorker, list[Any]]:
    keeper = BookKeeper(app, settings, signals)
    book = keeper.book = WindowBook(
        partitions,
        retention_of(settings),
        lambda partition: keeper.store().find(partition),
        AppReach(app, settings.entries_topic),
    )
    checkpoints = keeper.checkpoints = Checkpoints(
        book, keeper.store, publisher, AppPace(app), settings, signals
    )
    add_rolling(app, settings, RollChunk(book, checkpoints, signals))
    missing = watch_versions(book, settings, signals)
    return WindowsWorker(app, book), [checkpoints.run(), missing, keeper.table.mend_recovery()]


async def watch_versions(book: WindowBook, settings: Settings, signals: Signals) -> None:
    """Tell versions that do not come, until cancelled."""
    watch = MissingVersions(settings.windows_gap_s)
    while True:
        await asyncio.sleep(LOOK_S)
        incomplete = {name: count for _, shelf in book.shelves() for name, count in shelf.incomplete.items()}
        look = watch.look(monotonic(), incomplete)
        for name in look.missing[:MISSING_TOLD_MAX]:
            signals.emit("versions.missing", of=name.decode(), versions=incomplete[name])
        for name in look.healed[:MISSING_TOLD_MAX]:
            signals.emit("versions.healed", of=name.decode())


async def check_topics(settings: Settings, kafka: KafkaAccess, signals: Signals) -> int:
    """Make the changelog if it is missing, and give how many partitions it has; they must be those of entries."""
    await make_windows_topic(settings, kafka)
    async with (
        KafkaStream.open(kafka, settings.entries_topic) as entries,
        KafkaStream.open(kafka, settings.windows_topic) as windows,
        KafkaGroup.open(kafka, settings.windows_group) as group,
    ):
        source, changelog = await entries.bounds(), await windows.bounds()
        committed = await group.committed(settings.entries_topic)
    if len(source) != len(changelog):
        raise PartitionsDifferError(
            f"{settings.entries_topic} has {len(source)} partitions, and {settings.windows_topic} {len(changelog)}.",
            "`ledger reset windows` makes the changelog anew, with as many.",
        )
    for partition in lost_partitions(source, changelog, committed):
        signals.emit("changelog.lost", topic=settings.windows_topic, partition=partition)
    return len(source)


def lost_partitions(
    source: Mapping[int, tuple[int, int]],
    changelog: Mapping[int, tuple[int, int]],
    committed: Mapping[int, int],
) -> list[int]:
    """Give the partitions of which the group has passed entries, and the changelog holds nothing."""
    return [
        partition
        for partition, (first, _) in sorted(source.items())
        if committed.get(partition, first) > first and changelog[partition][0] == changelog[partition][1]
    ]
