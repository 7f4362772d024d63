"""Every row of the crash table: `python -m tests.end_to_end.chaos_crashes [--rotations 5]` (make crash-points).

Prints the table with what came of each death, then what an independent count found. Exit 1 if a row was not lived
through, or anything is wrong.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from time import monotonic

from streams.embedded.stack import EmbeddedStack
from tests.conftest import ISOLATED
from tests.end_to_end.crash_lanes import Deaths, deaths
from tests.end_to_end.crash_table import KINDS, ONCE, POINTS, POSTING, Row, rows
from tests.end_to_end.forking import Nursery
from tests.provider import Simulator


async def live(lane: Deaths, rotation: int) -> list[str]:
    """Let one ledger live through posting, and the first also through all that comes after; gives what is wrong."""
    faults = await _step(lane, lambda: lane.post(rotation), f"posting, rotation {rotation}")
    if rotation == 0:
        after = (
            lane.roll,
            lane.pay,
            lane.hear,
            lane.chain,
            lane.archive,
            lane.replay,
            lane.requeue,
            lane.expire,
        )
        for step in after:
            faults += await _step(lane, step, step.__name__)
    return [*faults, *(f"rotation {rotation}: {fault}" for fault in await lane.faults())]


async def _step(lane: Deaths, step: Callable[[], Awaitable[None]], name: str) -> list[str]:
    """Take one step; what does not hold in it is told, and the next one is taken all the same."""
    began, before = monotonic(), lane.deaths
    try:
        await step()
    except (AssertionError, TimeoutError) as fault:
        return [f"{name}: {fault}"]
    finally:
        sys.stderr.write(f"{name}: {lane.deaths - before} deaths, {monotonic() - began:.1f} s\n")
    return []


def table(lived: Iterable[Row]) -> list[str]:
    """Write how often each kind of record died at each point: 1, 2; - where it does not come there."""
    times = {(row.point, row.kind): row.time for row in sorted(lived)}
    wanted = {(row.point, row.kind) for row in rows()}
    heads = [*(kind.removesuffix(".v1") for kind in KINDS)]
    lines = ["".join([f"{'':<20}", *(f"{head[:12]:>13}" for head in heads)])]
    for point in POINTS:
        cells = [str(times.get((point, kind), 0)) if (point, kind) in wanted else "-" for kind in KINDS]
        lines.append("".join([f"{point:<20}", *(f"{cell:>13}" for cell in cells)]))
    return lines


async def main(rotations: int) -> int:
    """Run all of it on servers of its own."""
    began = monotonic()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-deaths-")))
        servers = await stack.enter_async_context(EmbeddedStack(directory / "state", settings=ISOLATED))
        nursery = stack.enter_context(closing(Nursery(directory)))
        simulators = [Simulator(directory / f"book{number}").start() for number in range(rotations)]
        for simulator in simulators:
            stack.callback(simulator.stop)
        addresses = (servers.kafka, servers.postgres_dsn)
        lanes = [
            await stack.enter_async_context(
                deaths(addresses, f"deaths{number}", directory / f"lane{number}", simulators[number], nursery)
            )
            for number in range(rotations)
        ]
        found = [await live(lane, number) for number, lane in enumerate(lanes)]
        faults = [fault for each in found for fault in each]
    lived = {row for lane in lanes for row in lane.lived}
    print("\n".join(table(lived)))  # noqa: T201
    # A saga may come to a point only once: then the second death is its way to the end.
    missing = [
        row
        for row in rows()
        if row not in lived and not (row.time == 2 and POINTS[row.point].part == "advance-payments")
    ]
    died = sum(lane.deaths for lane in lanes)
    told = f"{died} deaths, {len(lived)} of {len(rows())} rows lived through, {len(ONCE)} cannot be"
    print(f"{told}; {monotonic() - began:.0f} s")  # noqa: T201
    print("\n".join([*(f"not lived through: {row}" for row in missing), *faults]))  # noqa: T201
    return 1 if missing or faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=len(POSTING), help="ledgers, one after the other")
    sys.exit(asyncio.run(main(parser.parse_args().rotations)))
