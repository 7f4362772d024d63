"""The database's clock: how the machine's own is set, or jumps, does not matter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import asyncpg
import pytest

from ledger.adapters.postgres.clock import DIFFERS_S, DatabaseClock
from ledger.adapters.postgres.types import Pool
from ledger.adapters.system import SystemClock
from ledger.application.faults import TransientFaultError
from ledger.application.post_events import Batch
from ledger.bootstrap.payments import advancing, payment_desk
from ledger.bootstrap.posting import posting
from ledger.config import Settings
from tests.builders import NOW, HandClock
from tests.fakes import RememberedSignals
from tests.ports.conftest import SCHEMA
from tests.ports.payments import Office


class Server:
    """A pool over a server whose clock, and the time that it takes to answer, are set by hand."""

    def __init__(self) -> None:
        self.tick = 50.0
        self.at = NOW
        self.takes_s = 0.0
        self.is_away = False

    def monotonic(self) -> float:
        return self.tick

    def passes(self, seconds: float) -> None:
        self.tick += seconds
        self.at += timedelta(seconds=seconds)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator["Server"]:
        self.passes(7.0)  # waiting for a connection is no part of the round trip
        yield self

    async def fetchval(self, statement: str) -> datetime:
        if self.is_away:
            raise OSError("away")
        self.passes(self.takes_s / 2)
        said = self.at
        self.passes(self.takes_s / 2)
        return said


class Scene:
    def __init__(self) -> None:
        self.server, self.machine, self.signals = Server(), HandClock(), RememberedSignals()
        self.clock = DatabaseClock(cast(Any, self.server), self.server.monotonic, self.machine, self.signals)

    def off_by(self) -> float:
        return (self.clock.now() - self.server.at).total_seconds()


async def test_time_is_not_known_before_it_was_learned() -> None:
    scene = Scene()
    with pytest.raises(TransientFaultError):
        scene.clock.now()
    await scene.clock.learn()
    scene.server.passes(3.0)
    assert scene.off_by() == 0


async def test_the_most_exact_answer_counts_until_it_may_have_drifted() -> None:
    scene = Scene()
    scene.server.takes_s = 0.002
    await scene.clock.learn()
    scene.server.tick += 0.0005  # the two drift apart
    scene.server.takes_s = 0.4
    await scene.clock.learn()
    assert scene.off_by() == pytest.approx(0.0005, abs=1e-5)
    scene.server.passes(3000)
    await scene.clock.learn()
    assert scene.off_by() == pytest.approx(0, abs=1e-5)


async def test_a_server_whose_clock_was_set_is_followed() -> None:
    scene = Scene()
    await scene.clock.learn()
    scene.server.takes_s = 0.4
    for jump in (3600, -7200):
        scene.server.at += timedelta(seconds=jump)
        await scene.clock.learn()
        assert abs(scene.off_by()) < 0.3


async def test_time_goes_on_while_the_database_is_away() -> None:
    scene = Scene()
    await scene.clock.learn()
    scene.server.is_away = True
    with pytest.raises(TransientFaultError):
        await scene.clock.learn()
    scene.server.passes(60)
    assert scene.off_by() == 0


async def test_time_does_not_go_back_by_a_moment() -> None:
    scene = Scene()
    await scene.clock.learn()
    told = scene.clock.now()
    scene.server.at -= timedelta(seconds=7.2)
    await scene.clock.learn()
    assert scene.clock.now() == told
    scene.server.passes(0.3)
    assert scene.off_by() == 0


async def test_a_machine_whose_clock_differs_is_told_of_once() -> None:
    scene = Scene()
    scene.machine.time = scene.server.at + timedelta(seconds=7 + DIFFERS_S)
    await scene.clock.learn()
    assert scene.signals.names() == []
    scene.machine.move(3600)
    await scene.clock.learn()
    await scene.clock.learn()
    assert scene.signals.names() == ["clock.differs"]


async def test_payments_workers_and_operators_go_by_the_database(
    books_dsn: str, pool: Pool, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = HandClock(datetime.now(UTC) + timedelta(hours=1))
    monkeypatch.setattr(SystemClock, "now", lambda self: wall.now())
    signals = RememberedSignals()
    settings = Settings(postgres_schema=SCHEMA)
    async with (
        advancing(settings, books_dsn, cast(Any, None), signals) as parts,
        payment_desk(settings, books_dsn) as desk,
    ):
        clocks = [parts.clock, parts.advance._clock, parts.advance._mover._outside.clock]
        clocks += [parts.breakers._clock, parts.providers._clock, desk._clock, desk._mover._outside.clock]
        wall.move(-7200)
        there = await owner.fetchval("select clock_timestamp()")
        assert max(abs((each.now() - there).total_seconds()) for each in clocks) < 1
    assert "clock.differs" in signals.names()


async def test_payments_are_due_by_the_database_whatever_the_posting_worker_s_clock_shows(
    books_dsn: str, postgres_office: Office, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = HandClock(datetime.now(UTC) - timedelta(hours=1))
    monkeypatch.setattr(SystemClock, "now", lambda self: wall.now())
    signals = RememberedSignals()
    await postgres_office.accept("money")
    async with posting(Settings(postgres_schema=SCHEMA), books_dsn, signals, lanes=1) as parts:
        wall.move(7200)
        [outcome] = await parts.post_events(Batch([postgres_office.request()]))
    payment = await postgres_office.read()
    there = await owner.fetchval("select clock_timestamp()")
    assert (outcome.kind, payment.saga.next_at is not None) == ("posted", True)
    assert abs(payment.saga.deadline - there - timedelta(seconds=900)) < timedelta(seconds=10)
    assert abs((payment.saga.next_at or NOW) - there) < timedelta(seconds=10)
    assert signals.names()[0] == "clock.differs"
