"""`python -m tests.planted`: plant every bug, and print what caught it. Exit 1 if one was not caught."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from time import monotonic

from streams.embedded.stack import EmbeddedStack
from tests.conftest import ISOLATED
from tests.planted.running import Harvest, grow_all
from tests.simulation.bugs import BUGS as SIMULATED
from tests.simulation.bugs import caught_by_simulation

SHOWN_MAX = 100


def tell(name: str, seconds: float, by: str | None, why: str = "") -> None:
    """Print what came of one bug."""
    print(f"{name:<64} {seconds:5.1f} s  {by or 'NOT CAUGHT ' + why}", flush=True)  # noqa: T201


def tell_harvest(name: str, harvest: Harvest) -> None:
    """Print which test caught one."""
    by = harvest.caught_by if harvest.is_caught else None
    tell(name, harvest.seconds, by, f"({harvest.code}) {harvest.said[-1500:]}")


async def by_tests() -> list[bool]:
    """Plant those that tests catch, on servers of their own; gives which were caught."""
    with tempfile.TemporaryDirectory(prefix="ledger-planted-") as directory:
        async with EmbeddedStack(Path(directory) / "state", settings=ISOLATED) as stack:
            found = await asyncio.to_thread(grow_all, str(stack.kafka), stack.postgres_dsn, tell_harvest)
    return [harvest.is_caught for harvest in found.values()]


def by_simulation() -> list[bool]:
    """Plant those that the simulation finds; gives which it found."""
    caught = []
    for bug in SIMULATED:
        began = monotonic()
        by = caught_by_simulation(bug)
        tell(bug, monotonic() - began, by and f"simulation, {by[:SHOWN_MAX]}")
        caught.append(by is not None)
    return caught


def main() -> int:
    """Plant all of them."""
    argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__).parse_args()
    began = monotonic()
    caught = [*asyncio.run(by_tests()), *by_simulation()]
    print(f"{sum(caught)} of {len(caught)} caught in {monotonic() - began:.0f} s")  # noqa: T201
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
