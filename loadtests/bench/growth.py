"""Growth: how fast a drain is when the books hold millions of entries already."""

import shutil

from loadtests.bench.drain import drain
from loadtests.bench.ground import BYTES_AN_ENTRY
from loadtests.bench.results import Measured
from loadtests.bench.stage import Servers, Wishes
from loadtests.workloads.transfers import Transfers, evenly

CUSTOMERS = 10_000
SIZES = (0, 1_000_000, 10_000_000, 50_000_000)


class NoRoomError(RuntimeError):
    """The disk is too small for so many entries; the message says how much is missing."""


async def growth(
    servers: Servers, entries: int, count: int, wishes: Wishes | None = None, *, seed: int = 1
) -> Measured:
    """Drain `uniform` over books of at least so many entries; raises NoRoomError."""
    _check_room(servers, entries)
    measured = await drain(
        servers, grown(entries), count, wishes, seed=seed, case=f"growth/uniform@{entries}"
    )
    measured.settings["entries_before"] = entries
    return measured


def grown(entries: int, customers: int = CUSTOMERS) -> Transfers:
    """Give `uniform` over customers who have paid each other in as many rounds as make so many entries."""
    rounds = max(0, -(-entries // (2 * customers)) - 1)
    return Transfers("uniform", evenly, customers=customers, grown=True, rounds=rounds)


def _check_room(servers: Servers, entries: int) -> None:
    free, needed = shutil.disk_usage(servers.directory).free, entries * BYTES_AN_ENTRY
    if free < needed:
        raise NoRoomError(
            f"{entries:,} entries need {needed / 2**30:.0f} GiB, and {servers.directory} has {free / 2**30:.0f} free"
        )
