"""The books that a replay may post to: in memory over those that are live, in a schema of its own, or live."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import stamina

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.memory.overlay import OverlayBooks
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.chain import PostgresChainStore
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.peeking import PostgresPeek
from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.adapters.postgres.replays import PostgresReplays
from ledger.adapters.postgres.types import Pool
from ledger.adapters.system import SystemClock
from ledger.application.chain import ChainStore
from ledger.application.ports import BookStore, Position
from ledger.application.post_events import PostEvents
from ledger.application.replaying import Reached, ReplayRecords
from ledger.bootstrap.posting import PARTITIONS_AHEAD_MONTHS, rules_of
from ledger.config import Settings
from ledger.contract.outgoing import HEADERS
from ledger.domain.outcome import Outcome
from ledger.domain.replaying import DecideAgain
from ledger.observability.signals import Signals
from migrations.run import migrate
from streams.publishing import outgoing
from streams.replay.faults import NotReplayableError
from streams.replay.plan import Placed
from streams.replay.run import insist
from streams.replay.wish import Source
from streams.transport.errors import PublishError
from streams.transport.publisher import BatchPublisher, Outgoing

POOL_SIZE = 6
"""One batch, and lookups of lanes side by side."""


def of_schema(settings: Settings, schema: str) -> Settings:
    """The same settings for other books of the same database."""
    return settings.model_copy(update={"postgres_schema": schema})


@dataclass(frozen=True, slots=True)
class RealBooks:
    """Books in PostgreSQL that are posted to."""

    store: BookStore
    records: ReplayRecords
    precedents: PostgresPrecedents
    chain: ChainStore

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, dsn: str) -> AsyncIterator["RealBooks"]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(_pool(settings, dsn))
            # Nobody but the owner of the books may say that they are replayed.
            owner = await stack.enter_async_context(_pool(settings, dsn, role=None))
            store = PostgresBooks(
                pool, auto_open=settings.auto_open_accounts, remember=settings.account_cache_entries
            )
            chain = PostgresChainStore(pool)
            yield cls(store, PostgresReplays(owner), PostgresPrecedents(pool), chain)


@asynccontextmanager
async def _pool(settings: Settings, dsn: str, role: str | None = "ledger_worker") -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, settings, size=POOL_SIZE, role=role, name="ledger-replay")
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def precedents_of(settings: Settings, dsn: str) -> AsyncIterator[PostgresPrecedents]:
    """What the books of `settings` have decided."""
    async with _pool(settings, dsn) as pool:
        yield PostgresPrecedents(pool)


@asynccontextmanager
async def overlay_of(settings: Settings, dsn: str) -> AsyncIterator[tuple[OverlayBooks, PostgresPeek]]:
    """Books in memory over the books of `settings` as they stand now."""
    async with (
        _pool(settings, dsn) as pool,
        PostgresPeek.open(pool, auto_open=settings.auto_open_accounts) as peek,
    ):
        yield OverlayBooks(peek), peek


def posting_to(store: BookStore, settings: Settings, judge: DecideAgain | None) -> PostEvents:
    """The use case of the workers."""
    return PostEvents(
        store,
        SystemClock(),
        rules_of(settings),
        Signals(),
        backoff_max_s=settings.retry_backoff_max_s,
        judge=judge,
    )


async def make_schema(settings: Settings, dsn: str) -> None:
    """Make empty books in the schema of `settings`; does nothing where they are."""
    await migrate(dsn, settings.postgres_schema)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": settings.postgres_schema})
    try:
        since = datetime.now(UTC) - timedelta(days=settings.dedupe_horizon_days + 1)
        await connection.execute("select make_event_partitions($1, $2)", since, PARTITIONS_AHEAD_MONTHS)
    finally:
        await connection.close()


async def schema_stands(dsn: str, schema: str) -> bool:
    """Tell whether there is such a schema."""
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("select count(*) from pg_namespace where nspname = $1", schema))
    finally:
        await connection.close()


async def replays_stand(dsn: str, schema: str) -> bool:
    """Tell whether a schema has books that may say what was replayed into them."""
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchval("select to_regclass(format('%I.replays', $1::text))", schema)
        return found is not None
    finally:
        await connection.close()


class WrittenDown:
    """Checkpoints in the record of a replay; if it `moves` them, the books' own positions go along."""

    def __init__(
        self,
        books: RealBooks,
        replay_id: str,
        run: int,
        source: Source,
        state: Mapping[int, Reached],
        *,
        moves: bool,
    ) -> None:
        self._books = books
        self._replay_id = replay_id
        self._run = run
        self._source = source
        self._moves = moves
        firsts = {partition: first for partition, (first, _) in source.lanes.items()}
        self._moved = firsts | self._standing(state)
        self._earliest: datetime | None = None

    async def note(self, _: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        """Take note of the times under which was posted: the audit chain may have done with them."""
        times = [outcome.posted_at for outcome in outcomes if outcome.kind == "posted"]
        self._earliest = min([*times, *([self._earliest] if self._earliest else [])], default=None)

    async def save(
        self, state: Mapping[int, Reached], counts: Mapping[str, int], *, ended: bool = False
    ) -> None:
        """Move the positions and write it down, at once; raises NoLongerAloneError."""
        ahead = self._ahead(state) if self._moves else {}
        topic = self._source.topic or ""
        moved = [Position(topic, at, self._moved[at], following) for at, following in ahead.items()]
        if (earliest := self._earliest) is not None:
            await insist(lambda: self._books.chain.lower(earliest))
            self._earliest = None
        at = datetime.now(UTC)
        still_runs = await insist(
            lambda: self._books.records.save(
                self._replay_id, self._run, state, counts, at, moved=moved, ended=ended
            )
        )
        if not still_runs and not ended:
            raise NotReplayableError("Another run has brought this replay to its end.")
        if moved:
            self._moved |= ahead

    def _ahead(self, state: Mapping[int, Reached]) -> dict[int, int]:
        standing = sorted(self._standing(state).items())
        return {partition: position for partition, position in standing if position > self._moved[partition]}

    def _standing(self, state: Mapping[int, Reached]) -> dict[int, int]:
        return {partition: self._source.books_at(partition, each.next) for partition, each in state.items()}


class Publishing:
    """Publishes what a worker would of events that are new to the books."""

    def __init__(self, publisher: BatchPublisher, settings: Settings) -> None:
        self._publisher = publisher
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, kafka: KafkaAccess | str) -> AsyncIterator["Publishing"]:
        publisher = BatchPublisher(kafka)
        await publisher.start()
        try:
            yield cls(publisher, settings)
        finally:
            await publisher.stop()

    async def __call__(self, outcomes: Sequence[Outcome]) -> None:
        """Publish outcomes and entries, however often it takes."""
        await self._publish([each for outcome in outcomes for each in outgoing(outcome, self._settings)])

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        attempts = stamina.retry_context(
            on=PublishError, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
        )
        async for attempt in attempts:
            with attempt:
                await self._publisher.publish(records)

    async def send(self, events: Sequence[Placed]) -> None:
        """Send events that no topic has to the topic of payments, under the keys of their accounts."""
        topic = self._settings.payments_topic
        records = [Outgoing(topic, each.event.key, each.value, HEADERS) for each in events if each.event]
        await self._publish(records)
