"""`python -m tests.planted [--only WORDS]`: plant bugs, and print what caught each. Exit 1 if one was not caught."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from streams.embedded.stack import EmbeddedStack
from tests.conftest import ISOLATED
from tests.planted.bug import NOTHING, Bug, nothing
from tests.planted.bugs import BUGS
from tests.planted.running import Harvest, grow_all
from tests.simulation.bugs import BUGS as SIMULATED
from tests.simulation.bugs import caught_by_simulation

SHOWN_MAX = 100


def tell(name: str, seconds: float, by: str | None, why: str = "") -> None:
    """Print what came of one bug."""
    print(f"{name:<64} {seconds:5.1f} s  {by or 'NOT CAUGHT ' + why}", flush=True)  # noqa: T201


def tell_harvest(name: str, harvest: Harvest) -> None:
    """Print which test caught one."""
    by = "passed, as they must" if name == NOTHING and not harvest.code else None
    by = harvest.caught_by if harvest.is_caught else by
    tell(name, harvest.seconds, by, f"({harvest.code}) {harvest.said[-1500:]}")


async def by_tests(bugs: Sequence[Bug]) -> list[bool]:
    """Plant those that tests catch, on servers of their own; gives which were caught."""
    if not bugs:
        return []
    with tempfile.TemporaryDirectory(prefix="ledger-planted-") as directory:
        async with EmbeddedStack(Path(directory) / "state", settings=ISOLATED) as stack:
            addresses = str(stack.kafka), stack.postgres_dsn
            found = await asyncio.to_thread(grow_all, *addresses, [nothing(bugs), *bugs], tell_harvest)
    if found[NOTHING].code:
        raise SystemExit("Where nothing is planted, one of the tests fails, too: nothing is shown by them.")
    return [found[bug.name].is_caught for bug in bugs]


def by_simulation(bugs: Sequence[str]) -> list[bool]:
    """Plant those that the simulation finds; gives which it found."""
    caught = []
    for bug in bugs:
        began = monotonic()
        by = caught_by_simulation(bug)
        tell(bug, monotonic() - began, by and f"simulation, {by[:SHOWN_MAX]}")
        caught.append(by is not None)
    return caught


def main() -> int:
    """Plant what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="only bugs with these words in their name"
    )
    words = parser.parse_args().only
    tested = [bug for bug in BUGS if words in bug.name]
    simulated = [bug for bug in SIMULATED if words in bug]
    if not tested and not simulated:
        parser.error(f"no bug has {words!r} in its name")
    began = monotonic()
    caught = [*asyncio.run(by_tests(tested)), *by_simulation(simulated)]
    print(f"{sum(caught)} of {len(caught)} caught in {monotonic() - began:.0f} s")  # noqa: T201
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
