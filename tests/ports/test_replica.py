"""Heavy reads with a standby: used while it is there, passed by while it is away, not believed when it says no."""

from typing import Any

import pytest

from ledger.adapters.postgres.tenancy import REPLICA_PAUSE_S, ReplicaFirst
from ledger.application.faults import OverloadedError, TooSlowError, TransientFaultError
from tests.fakes import RememberedSignals


class Server:
    def __init__(self, says: Any) -> None:
        self.says = says
        self.asked = 0

    async def read(self, tenant_id: int, work: Any) -> Any:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Pair:
    def __init__(self, standby: Any) -> None:
        self.standby, self.primary = Server(standby), Server("primary")
        self.signals = RememberedSignals()
        self.now = 100.0
        standby_pool: Any = self.standby
        primary_pool: Any = self.primary
        self.reads = ReplicaFirst(standby_pool, primary_pool, self.signals, lambda: self.now)

    async def read(self) -> Any:
        work: Any = None
        return await self.reads.read(1, work)


async def test_a_standby_is_read() -> None:
    pair = Pair("standby")
    assert await pair.read() == "standby"
    assert pair.primary.asked == 0


async def test_what_a_standby_has_not_the_primary_may_have() -> None:
    assert await Pair(None).read() == "primary"


async def test_an_empty_page_of_a_standby_is_an_answer() -> None:
    assert await Pair([]).read() == []


async def test_a_standby_that_is_away_is_passed_by_for_a_while() -> None:
    pair = Pair(TransientFaultError("away"))
    assert [await pair.read(), await pair.read()] == ["primary", "primary"]
    assert pair.standby.asked == 1
    assert pair.signals.names() == ["replica.not_used"]
    pair.now += REPLICA_PAUSE_S
    pair.standby.says = "standby"
    assert await pair.read() == "standby"


@pytest.mark.parametrize("error", [OverloadedError("full"), TooSlowError("slow")])
async def test_what_is_too_much_for_a_standby_does_not_fall_on_the_primary(error: Exception) -> None:
    pair = Pair(error)
    with pytest.raises(type(error)):
        await pair.read()
    assert pair.primary.asked == 0
