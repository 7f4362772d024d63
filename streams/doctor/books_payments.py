"""What the books say of payments and their providers, looked up for the doctor."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ledger.adapters.postgres.statements import sql
from ledger.application.breaker import BreakerState
from ledger.application.payment_ports import SealError
from ledger.application.provider_reading import fresh_since, none_passes
from ledger.bootstrap.providers import seals_of
from ledger.config import Settings
from streams.doctor.payments import PaymentFacts
from streams.embedded.sealing_keys import with_sealing_keys


async def look_at_payments(connection: Any, settings: Settings) -> PaymentFacts:
    """Look, in a role that sees every tenant."""
    counts = await connection.fetchrow(sql("look_at_payments"))
    providers = [(row["tenant"], row["name"]) for row in await connection.fetch(sql("list_providers"))]
    return PaymentFacts(
        counts["payments"],
        counts["stuck"],
        counts["overdue"],
        [f"{tenant}/{name}" for tenant, name in providers],
        *await _down(connection),
        await _closed_seals(connection, settings, providers),
    )


async def _down(connection: Any) -> tuple[list[str], list[str]]:
    """Name those whose breaker is closed at no worker, and those that no worker can call at all."""
    states, calls = defaultdict(set), Counter[str]()
    for row in await connection.fetch(sql("read_breakers"), fresh_since(datetime.now(UTC))):
        name = f"{row['tenant']}/{row['provider']}"
        states[name].add(BreakerState(row["state"]))
        calls[name] += row["calls"]
    shut = sorted(name for name, found in states.items() if none_passes(found))
    return [name for name in shut if calls[name]], [name for name in shut if not calls[name]]


async def _closed_seals(
    connection: Any, settings: Settings, providers: Sequence[tuple[str, str]]
) -> list[str]:
    settings = with_sealing_keys(settings)
    if settings.sealing_keys is None:
        return []  # whoever has no keys need not open them here
    seals, closed = seals_of(settings), []
    for tenant, name in providers:
        row = await connection.fetchrow(sql("find_provider"), tenant, name)
        try:
            if row is not None and row["sealed_secrets"] is not None:
                seals.open(tenant, name, row["sealed_secrets"])
        except SealError:
            closed.append(f"{tenant}/{name}")
    return closed
