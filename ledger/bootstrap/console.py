"""Compose what the console stands on beside what the API does."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from ledger.adapters.kafka.access import kafka_access
from ledger.adapters.kafka.stands import KafkaStands
from ledger.adapters.postgres.clock import DatabaseClock
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.adapters.postgres.operator_board import PostgresOperatorBoard
from ledger.adapters.postgres.origins import PostgresOrigins
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.position import PostgresPosition
from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.adapters.postgres.provider_reader import PostgresProviderReader
from ledger.adapters.postgres.types import Pool
from ledger.adapters.postgres.verifications import PostgresVerifications
from ledger.adapters.report_directory import reports_of
from ledger.adapters.system import SystemClock, new_event_id_beside
from ledger.api.console_services import ApiStand, ConsoleServices, LetterDesk
from ledger.api.sessions import Sessions
from ledger.api.telemetry import ApiMetrics
from ledger.application.dead_letters import DropLetters, Payments, RefusePosted, RequeueLetters
from ledger.application.decide_payments import PaymentDesk
from ledger.application.faults import TransientFaultError
from ledger.application.letter_events import FindLetterEvent
from ledger.application.places import Places
from ledger.application.reading import HoldLister
from ledger.application.saga_mover import Outside, SagaMover
from ledger.application.shared_looks import SharedLooks
from ledger.application.tell_verification import TellVerification
from ledger.application.watch_pipeline import Names, WatchPipeline
from ledger.bootstrap.limits import payment_rules_of
from ledger.config import Settings
from ledger.observability.signals import Signals

CONNECTIONS = 3
LETTER_CONNECTIONS = 3
"""A deed takes two, and whoever looks meanwhile one."""
STALE_FEED_S = 5.0
CLOSE_S = 2.0
RUNBOOK = "runbook.md"


@asynccontextmanager
async def console(
    settings: Settings,
    dsn: str,
    key_secret: str,
    holds: HoldLister,
    places: Places,
    metrics: ApiMetrics,
    signals: Signals,
    payments: Payments | None,
) -> AsyncIterator[ConsoleServices | None]:
    """Compose it over the books at `dsn` and `settings.kafka_bootstrap`; None where it is not to be served.

    Through `payments` dead letters are sent again.
    """
    if not settings.console:
        yield None
        return
    async with AsyncExitStack() as stack:
        pool = await open_pool(dsn, settings, size=CONNECTIONS, name="ledger-console")
        stack.push_async_callback(_close, pool)
        stream = None
        if settings.kafka_bootstrap is not None:
            stream = KafkaStands(kafka_access(settings, settings.kafka_bootstrap))
            stack.push_async_callback(stream.close)
        watch = WatchPipeline(
            names_of(settings),
            stream,
            await _position(stack, settings, dsn),
            lambda: requests_of(metrics),
            SystemClock(),
            monotonic,
        )
        yield ConsoleServices(
            sessions=_sessions(settings, key_secret),
            watch=watch,
            waiting=SharedLooks(monotonic, lambda seen: seen.is_whole),
            stand=lambda: stand_of(places, metrics),
            runbook=runbook,
            holds=holds,
            board=PostgresOperatorBoard(pool),
            desk=await stack.enter_async_context(_desk(settings, pool, signals)),
            payments=PostgresPaymentReader.of_all(pool),
            letters=await _letters(stack, settings, dsn, payments),
            origins=PostgresOrigins(pool),
            records=stream,
            reports=reports_of(settings),
            verifications=await stack.enter_async_context(_verifications(pool, signals)),
            operators=operators_of(settings),
        )


def _sessions(settings: Settings, key_secret: str) -> Sessions:
    lasts_s, ends_s = settings.console_session_s, settings.console_session_max_s
    return Sessions(key_secret, secrets.token_bytes, lasts_s=lasts_s, ends_s=ends_s)


async def _position(stack: AsyncExitStack, settings: Settings, dsn: str) -> PostgresPosition:
    """Compose what watches the books: over a connection of its own, lest it wait for those who read pages."""
    pool = await open_pool(dsn, settings, size=1, name="ledger-console-position")
    stack.push_async_callback(_close, pool)
    return PostgresPosition(pool)


async def _letters(
    stack: AsyncExitStack, settings: Settings, dsn: str, payments: Payments | None
) -> LetterDesk:
    pool = await open_pool(dsn, settings, size=LETTER_CONNECTIONS, name="ledger-console-letters")
    stack.push_async_callback(_close, pool)
    letters, clock, bytes_max = PostgresDeadLetters(pool), SystemClock(), settings.record_bytes_max
    precedents = PostgresPrecedents(pool)
    refuse = RefusePosted(precedents, bytes_max=bytes_max)
    requeue = None
    if payments is not None:
        requeue = RequeueLetters(letters, payments, clock, refuse, bytes_max=bytes_max)
    return LetterDesk(
        letters=letters,
        find_event=FindLetterEvent(precedents, bytes_max=bytes_max),
        drop=DropLetters(letters, clock, refuse),
        requeue=requeue,
    )


def names_of(settings: Settings) -> Names:
    """Give the names of what is watched."""
    return Names(
        settings.payments_topic, settings.posting_group, settings.entries_topic, settings.windows_group
    )


def operators_of(settings: Settings) -> frozenset[str]:
    """Give the tenants whose admin keys are those of operators."""
    return frozenset(each.strip() for each in (settings.console_operators or "").split(",") if each.strip())


def requests_of(metrics: ApiMetrics) -> float:
    """Count the requests that this process has answered."""
    return sum(
        sample.value
        for family in metrics.registry.collect()
        if family.name == "ledger_api_requests"
        for sample in family.samples
        if sample.name == "ledger_api_requests_total"
    )


def stand_of(places: Places, metrics: ApiMetrics) -> ApiStand:
    """Tell what this process knows of itself."""
    staleness_s = metrics.registry.get_sample_value("ledger_api_feed_staleness_seconds")
    is_away = metrics.registry.get_sample_value("ledger_api_cache_away")
    follows = None if staleness_s is None else staleness_s < STALE_FEED_S
    return ApiStand(places.in_flight, places.waiting, follows, bool(is_away))


def runbook() -> str:
    """Read the runbook: beside the code where it was installed, else where it is written."""
    installed = files("ledger.api.console") / RUNBOOK
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    written = Path(str(files("ledger"))).parent / "docs" / RUNBOOK
    return written.read_text(encoding="utf-8") if written.is_file() else "The runbook was not installed here."


@asynccontextmanager
async def _desk(settings: Settings, pool: Pool, signals: Signals) -> AsyncIterator[PaymentDesk]:
    """Compose what operators do about payments; the database's time is learned beside, for it may be away."""
    clock = DatabaseClock(pool, monotonic, SystemClock(), signals)
    outside = Outside(clock, Random().random, new_event_id_beside)  # noqa: S311 - it spreads waits
    mover = SagaMover(PostgresPayments(pool), outside, payment_rules_of(settings), signals)
    async with _beside(_learn(clock, signals), "time of the database"):
        providers = PostgresProviderReader.of_all(pool)
        yield PaymentDesk(PostgresPaymentReader.of_all(pool), mover, providers, clock)


@asynccontextmanager
async def _verifications(pool: Pool, signals: Signals) -> AsyncIterator[PostgresVerifications]:
    """Compose where the last verdict is read, by pages and, beside them, for the metrics."""
    verifications = PostgresVerifications(pool)
    async with _beside(TellVerification(verifications, signals).run(), "last verification"):
        yield verifications


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Have `work` run until the block ends, and end with it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _learn(clock: DatabaseClock, signals: Signals) -> None:
    try:
        await clock.learn()
    except TransientFaultError as fault:
        signals.emit("clock.not_learned", fault=str(fault))
    await clock.keep_learning()


async def _close(pool: Pool) -> None:
    """Close the connections, by force if they are still in use."""
    try:
        await asyncio.wait_for(pool.close(), CLOSE_S)
    except TimeoutError:
        pool.terminate()
