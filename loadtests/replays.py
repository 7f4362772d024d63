"""How fast history is replayed: into a schema of its own, and into the live books, against posting in the same run.

`python -m loadtests.replays [--events 1000000]`; exit 1 if a digest differs, a replay changes anything, the books are
not as expected, or a replay is slower than it should be. The topic is filled first, so posting is measured at its
highest rate. Then live traffic is sent at a steady rate, alone and beside rebuilds. All of it shares this machine.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec

from ledger.config import environment_name
from loadtests.bench.check import check
from loadtests.bench.drain import Drain, Goal, prepare
from loadtests.bench.flow import flow
from loadtests.bench.observer import OUTCOME
from loadtests.bench.paced import latencies, order_of
from loadtests.bench.results import Measured
from loadtests.bench.schedule import Step
from loadtests.bench.stage import Stage, Wishes, environment_of, servers, stage, tell
from loadtests.workloads import named

WORKLOAD, SEED = "uniform", 1
REBUILD_AT_LEAST, LIVE_AT_LEAST = 0.8, 2.0
"""Of the rate of posting."""
TRAFFIC_S, TRAFFIC_SECONDS, WARM_UP_S = 300.0, 20.0, 5.0
RATES = (500, 2000, 0)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay: records a second, start and proof included, and what it reported."""

    rate: float
    exit_code: int
    report: dict[str, Any]


class Replays:
    """Replays of one topic, on the stage where it was posted."""

    def __init__(self, own: Stage, records: int) -> None:
        self._stage = own
        self._records = records

    async def replay(self, *arguments: str) -> Replayed:
        """Run a replay to its end."""
        begun = monotonic()
        replay = await self._started(*arguments, stdout=PIPE)
        said, _ = await replay.communicate()
        if replay.returncode not in (0, 1):
            raise RuntimeError(f"the replay ended with {replay.returncode}")
        return Replayed(self._records / (monotonic() - begun), replay.returncode, json.loads(said))

    async def beside(self, rate: int | None) -> dict[str, Any]:
        """Send live traffic while history is rebuilt at a rate (0: any; None: not at all); gives its latencies."""
        steps = [Step(TRAFFIC_S, WARM_UP_S), Step(TRAFFIC_S, TRAFFIC_SECONDS)]
        async with self._stage.posting(), self._rebuilding(rate):
            flown = await flow(order_of(self._stage, WORKLOAD, steps, SEED))
        found: dict[str, Any] = msgspec.to_builtins(latencies(flown, step=1)[OUTCOME])
        return found | {"faults": flown.faults()}

    @asynccontextmanager
    async def _rebuilding(self, rate: int | None) -> AsyncIterator[None]:
        """Rebuild until the block is left; it begins while the traffic warms up."""
        if rate is None:
            yield
            return
        replay = await self._started("--into", f"beside_{rate}", "--rate", str(rate), stdout=DEVNULL)
        try:
            yield
        finally:
            if replay.returncode is None:
                replay.send_signal(signal.SIGINT)
            await replay.wait()

    async def _started(self, *arguments: str, stdout: int) -> Process:
        settings = self._stage.settings
        told = environment_of(settings) | {environment_name("state_dir"): str(settings.state_dir)}
        command = (sys.executable, "-m", "streams.cli", "replay", *arguments, "--json")
        return await asyncio.create_subprocess_exec(
            *command, env=os.environ | told, cwd=settings.state_dir, stdout=stdout
        )


async def posted(own: Stage, count: int) -> tuple[Measured, int]:
    """Fill the topic, have a worker post all of it, and check the books; also says how many records there are."""
    workload = named(WORKLOAD)
    preamble = await prepare(own, workload, count, SEED)
    expected = workload.expected(count, SEED)
    async with own.connection() as connection:
        drain = Drain(own, connection, workload, Goal(preamble, count, expected))
        measured = await drain.measured("replays/posting")
    measured.checked = [*drain.faults, *await check(own, expected)]
    return measured, preamble + count


async def main(given: argparse.Namespace) -> dict[str, Any]:
    """Fill, post, rebuild, replay; then send live traffic beside rebuilds."""
    async with servers() as shared, stage(shared, Wishes()) as own:
        posting, records = await posted(own, given.events)
        tell(f"posted at {posting.rate:,.0f}/s")
        replays = Replays(own, records)
        rebuilt = await replays.replay("--into", "rebuilt")
        tell(f"rebuilt at {rebuilt.rate:,.0f}/s")
        live = await replays.replay("--live", "--yes", "--why", "a benchmark")
        tell(f"replayed into the live books at {live.rate:,.0f}/s; now live traffic beside rebuilds")
        beside = {_rate_name(rate): await replays.beside(rate) for rate in (None, *RATES)}
    found = {
        "events": given.events,
        "posting_s": round(posting.rate),
        "rebuild_s": round(rebuilt.rate),
        "rebuild_of_posting": round(rebuilt.rate / posting.rate, 2),
        "live_s": round(live.rate),
        "live_of_posting": round(live.rate / posting.rate, 2),
        "faults": posting.checked,
        "traffic_beside": beside,
        "rebuilt": rebuilt.report | {"exit": rebuilt.exit_code},
        "live": live.report | {"exit": live.exit_code},
    }
    return {"ok": _is_ok(found), **found}


def _is_ok(found: dict[str, Any]) -> bool:
    as_fast = found["rebuild_of_posting"] >= REBUILD_AT_LEAST and found["live_of_posting"] >= LIVE_AT_LEAST
    exits = found["rebuilt"]["exit"] == found["live"]["exit"] == 0
    faults = [
        *found["faults"],
        *(fault for each in found["traffic_beside"].values() for fault in each["faults"]),
    ]
    return exits and as_fast and not faults


def _rate_name(rate: int | None) -> str:
    return "alone" if rate is None else f"rebuild at {rate}/s" if rate else "rebuild as fast as it can"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    found = asyncio.run(main(parser.parse_args()))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    sys.exit(not found["ok"])
