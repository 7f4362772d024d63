"""Holds past their time are found while they are open, the oldest first, and no others."""

from datetime import timedelta

from ledger.adapters.postgres.holds import PostgresHolds
from ledger.adapters.postgres.types import Pool
from ledger.domain.commands import Event
from tests.builders import NOW, event, transfer
from tests.ports.bench import Bench

FAR = 10_000


def hold(bench: Bench, name: str, seconds: float | None) -> Event:
    data = {"debit": "ann", "credit": "shop", "amount": 5, "asset": "USD/2"}
    if seconds is not None:
        data |= {"expires_at": (NOW + timedelta(seconds=seconds)).isoformat()}
    return event("hold.place.v1", data, name=f"{bench.tenant} {name}", tenant=bench.tenant)


async def expired(bench: Bench, pool: Pool) -> list[str]:
    found = await PostgresHolds(pool).expired(NOW + timedelta(seconds=60), FAR)
    return [each.id for each in found if each.tenant == bench.tenant]


async def test_open_holds_past_their_time_are_found_oldest_first(postgres: Bench, pool: Pool) -> None:
    funds = transfer("external:bank", "ann", 100, name=postgres.tenant, tenant=postgres.tenant)
    holds = [
        hold(postgres, name, seconds) for name, seconds in (("b", 20), ("a", 10), ("c", 90), ("d", None))
    ]
    await postgres.post(funds, *holds)
    assert await expired(postgres, pool) == [holds[1].id, holds[0].id]


async def test_holds_that_are_closed_are_not_found(postgres: Bench, pool: Pool) -> None:
    funds = transfer("external:bank", "ann", 100, name=postgres.tenant, tenant=postgres.tenant)
    captured, voided = hold(postgres, "a", 10), hold(postgres, "b", 10)
    ends = [
        event("hold.capture.v1", {"hold": captured.id}, name=f"{postgres.tenant} 1", tenant=postgres.tenant),
        event("hold.void.v1", {"hold": voided.id}, name=f"{postgres.tenant} 2", tenant=postgres.tenant),
    ]
    await postgres.post(funds, captured, voided, *ends)
    assert await expired(postgres, pool) == []
