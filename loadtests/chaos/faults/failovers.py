"""F7 and F8: the primary dies, and a standby takes over: one that has every commit, and one that has not."""

import asyncio
import signal
from contextlib import suppress
from random import Random
from typing import Any

import orjson

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import STANDBY, Fault
from loadtests.chaos.stage import WINDOWS, Ran, Stage, StageError
from loadtests.chaos.standby import Standby

LOSING_S = 4.0
STOPPED_S = 30.0
SHOWN_MAX = 5
REPLAY = ("replay", "--live", "--since-books", "--why", "a fail-over lost commits", "--yes", "--json")
_POSTED = "select coalesce(sum(next_offset), 0)::bigint as n from stream_offsets"


async def _synchronous(stage: Stage, random: Random) -> dict[str, Any]:
    """Fail over to a standby that had every commit before it was answered: nothing is lost."""
    standby = Standby(stage, stage.next_number())
    await standby.start(synchronous=True)
    await asyncio.sleep(random.uniform(3.0, 6.0))
    await stage.crew.drop(stage.primary, signal.SIGKILL)
    await standby.promote()
    return {"promoted": standby.name}


async def _asynchronous(stage: Stage, random: Random) -> dict[str, Any]:
    """Fail over to a standby that is behind: workers stop at the gap, and a replay fills it."""
    standby = Standby(stage, stage.next_number())
    await standby.start(synchronous=False)
    await asyncio.sleep(random.uniform(2.0, 4.0))
    standby.replication.weather.holds_down = True
    await asyncio.sleep(LOSING_S)
    before = await _posted(stage)
    await stage.crew.drop(stage.primary, signal.SIGKILL)
    stage.reading.reader.forget()
    await standby.promote()
    lost = before - await _posted(stage)
    if lost <= 0:
        raise CrewError("the fail-over lost nothing")
    await _until_stopped(stage)
    found = (await stage.ledger("gap", "show", "--json")).checked(1)
    replayed = came_of(await stage.ledger(*REPLAY))
    await _reset_windows(stage)
    stage.reading.reader.forget()
    return {
        "promoted": standby.name,
        "lost": lost,
        "gaps": found.printed.count("partition"),
        "replayed": replayed,
    }


async def _reset_windows(stage: Stage) -> None:
    """Make windows anew, which have entries that were told of what was lost."""
    usual = await stage.crew.stop(*stage.crew.names(WINDOWS))
    (await stage.ledger("reset", "windows", "--yes", "--json")).checked()
    await stage.crew.start(*usual)


def came_of(ran: Ran) -> dict[str, Any]:
    """Give what a replay says of itself; raises StageError with it where something came out otherwise."""
    if not ran.printed.startswith("{"):
        return {"said": ran.checked().printed}
    found = orjson.loads(ran.printed)
    told = {name: found[name] for name in ("verdict", "counts")}
    told |= {name: found[name][:SHOWN_MAX] for name in ("different", "refused_unseen")}
    if ran.code:
        raise StageError(f"the replay ended with {ran.code}: {told}")
    return told


async def _posted(stage: Stage) -> int:
    return int((await stage.sql(_POSTED))[0]["n"])


async def _until_stopped(stage: Stage) -> None:
    """Wait until a worker has refused to go on; raises CrewError."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOPPED_S):
            while not stage.logged("worker-*", "position.gap"):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.2)
            return
    raise CrewError("no worker stopped at the gap")


FAULTS = (
    Fault("F7", "fail-over to a synchronous standby: no loss", _synchronous, STANDBY),
    Fault(
        "F8",
        "fail-over to an asynchronous standby: loss found, and repaired from the topic",
        _asynchronous,
        STANDBY,
        loses_commits=True,
    ),
)
