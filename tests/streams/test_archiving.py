"""Who follows a topic into an archive waits out what is away, and writes what it has when it is stopped."""

import asyncio
from typing import cast

import pytest
from aiokafka.errors import KafkaConnectionError

from ledger.application.archive_ports import ArchiveError, ObjectsAwayError
from ledger.application.archive_topic import ArchiveTopic
from streams import archiving
from streams.archiving import follow
from tests.fakes import RememberedSignals


class Faulty:
    """Archives with these faults, one a round; then it is stopped."""

    def __init__(self, faults: list[Exception], stopped: asyncio.Event) -> None:
        self.faults = faults
        self.stopped = stopped
        self.is_finished = False

    async def catch_up(self, *, close: bool) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.stopped.set()

    async def finish(self) -> None:
        self.is_finished = True


async def test_whatever_is_away_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "LOOK_S", 0.01)
    stopped, signals = asyncio.Event(), RememberedSignals()
    faulty = Faulty([ObjectsAwayError("full"), KafkaConnectionError(), ConnectionResetError()], stopped)
    await follow([cast(ArchiveTopic, faulty)], signals, stopped)
    assert (signals.names(), faulty.is_finished) == (["archive.delayed"] * 3, True)


async def test_archive_that_cannot_be_gone_on_with_stops_it() -> None:
    stopped = asyncio.Event()
    with pytest.raises(ArchiveError):
        await follow(
            [cast(ArchiveTopic, Faulty([ArchiveError("made anew")], stopped))], RememberedSignals(), stopped
        )
