"""Compose the advancing of payments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from secrets import token_hex
from time import monotonic

from ledger.adapters.postgres.clock import DatabaseClock
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.legs import leg_ids
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.provider_reader import PostgresBreakerBoard, PostgresProviderReader
from ledger.adapters.provider.registry import ProviderRegistry
from ledger.adapters.system import SystemClock, new_event_id_beside
from ledger.application.advance_payments import AdvancePayments, Pace
from ledger.application.decide_payments import PaymentDesk
from ledger.application.lane_rooms import LaneRooms
from ledger.application.ledger_provider import LedgerProvider
from ledger.application.leg_desk import LegDesk
from ledger.application.payment_ports import PaymentLog, PaymentStore
from ledger.application.provider_lanes import ProviderLanes
from ledger.application.saga_mover import Outside, SagaMover
from ledger.application.tell_breakers import TellBreakers
from ledger.bootstrap.limits import payment_rules_of
from ledger.bootstrap.providers import providers_in
from ledger.config import Settings
from ledger.observability.signals import Signals
from ledger.observability.tracing import calls_of

CONNECTIONS = 6
FINISH_S = 5.0


@dataclass(frozen=True, slots=True)
class Advancing:
    """What a payments worker works with."""

    advance: AdvancePayments
    store: PaymentStore
    breakers: TellBreakers
    providers: ProviderRegistry
    clock: DatabaseClock


@asynccontextmanager
async def advancing(
    settings: Settings, dsn: str, log: PaymentLog, signals: Signals
) -> AsyncIterator[Advancing]:
    """Compose it over PostgreSQL; what is in hand at the end has a moment to finish."""
    pool = await open_pool(dsn, settings, size=CONNECTIONS, by_key=True)
    clock = DatabaseClock(pool, monotonic, SystemClock(), signals)
    store = PostgresPayments(pool, signals)
    desk, ids = LegDesk(store, log, monotonic), await leg_ids(pool)
    registry = ProviderRegistry(
        providers_in(pool, settings),
        lambda target: LedgerProvider(target, desk, ids),
        clock,
        monotonic,
        signals,
    )
    lanes = ProviderLanes(lambda fault: signals.emit("task.failed", error=repr(fault)))
    rooms = LaneRooms(lanes, registry, settings.provider_calls_max)
    rules = payment_rules_of(settings)
    outside = Outside(clock, Random().random, new_event_id_beside)  # noqa: S311 - it spreads waits
    mover = SagaMover(store, outside, rules, signals)
    pace = Pace(settings.payment_lease_s, settings.payment_claim_max, settings.payments_in_hand_max)
    try:
        advance = AdvancePayments(
            store, mover, registry, log, lanes, rooms, clock, rules, signals, pace, calls_of(settings)
        )
        board = PostgresBreakerBoard(pool)
        breakers = TellBreakers(registry.breakers, board, clock, monotonic, token_hex(4), signals)
        await clock.learn()
        yield Advancing(advance, store, breakers, registry, clock)
        await lanes.finish(FINISH_S)
    finally:
        await registry.close()
        await pool.close()


@asynccontextmanager
async def payment_desk(settings: Settings, dsn: str) -> AsyncIterator[PaymentDesk]:
    """Compose what operators do about payments."""
    pool = await open_pool(dsn, settings, size=1, name="ledger-operator")
    try:
        clock = DatabaseClock(pool, monotonic, SystemClock(), Signals())
        await clock.learn()
        outside = Outside(clock, Random().random, new_event_id_beside)  # noqa: S311 - it spreads waits
        mover = SagaMover(PostgresPayments(pool), outside, payment_rules_of(settings), Signals())
        providers = PostgresProviderReader.of_all(pool)
        yield PaymentDesk(PostgresPaymentReader.of_all(pool), mover, providers, clock)
    finally:
        await pool.close()
