"""F5 and F6: PostgreSQL restarted again and again, and backends killed while they commit."""

import asyncio
import os
import signal
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any

from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.stage import GOING_AWAY, POSTGRES, Stage

WAYS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "killed": signal.SIGKILL}
KILLS = 3
HUNT_S = 60.0
ANSWERED_S = 2.0
_COMMITTING = """
select pid from pg_stat_activity
where state = 'active' and query ilike 'commit%' and application_name like 'ledger%'
"""
_COMMITS_STILL = """
select true from pg_stat_get_activity($1) where state = 'active' and query ilike 'commit%'
"""


async def _restarts(stage: Stage, random: Random) -> dict[str, Any]:
    done = []
    ways = [*WAYS, random.choice(list(WAYS))]
    for way in ways[-stage.some(len(ways)) :]:
        await stage.kill_server(POSTGRES, WAYS[way])
        done.append(way)
        await asyncio.sleep(random.uniform(2.0, 6.0))
    return {"restarted": done}


async def _killed_in_commit(stage: Stage, random: Random) -> dict[str, Any]:
    """Kill a backend while it commits: nobody hears the result, and PostgreSQL restarts itself."""
    killed = 0
    for _ in range(stage.some(KILLS)):
        await _kill_one(stage)
        killed += 1
        await stage.crew.until_ready(POSTGRES)
        await asyncio.sleep(random.uniform(1.0, 4.0))
    return {"killed in commit": killed}


async def _kill_one(stage: Stage) -> None:
    """Look at what backends do, as fast as it goes, and kill one that commits; raises DidNotHappenError."""
    ends = monotonic() + HUNT_S
    while monotonic() < ends:
        with suppress(*GOING_AWAY):
            async with stage.connection() as connection:
                while monotonic() < ends:
                    for row in await connection.fetch(_COMMITTING):
                        if await _killed(connection, row["pid"]):
                            return
    raise DidNotHappenError(f"no backend was caught in its COMMIT within {HUNT_S:g} s")


async def _killed(connection: Any, pid: int) -> bool:
    """Kill a backend if it is in its COMMIT: it is made to stand first, so that it cannot come to the end meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            is_committing = await connection.fetchval(_COMMITS_STILL, pid, timeout=ANSWERED_S)
        except TimeoutError:
            is_committing = True  # It stands with a lock of the whole server, which only its COMMIT takes.
        except BaseException:
            os.kill(pid, signal.SIGCONT)
            raise
        os.kill(pid, signal.SIGKILL if is_committing else signal.SIGCONT)
        return bool(is_committing)
    return False


FAULTS = (
    Fault("F5", "PostgreSQL restarted, fast and immediate", _restarts),
    Fault("F6", "a backend killed in COMMIT, the result unknown", _killed_in_commit),
)
