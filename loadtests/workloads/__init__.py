"""Named, seeded, pure streams of events to load the ledger with, each with the exact books that it must end in."""

from loadtests.workloads.mixed import Mixed
from loadtests.workloads.paying import Payments
from loadtests.workloads.records import ASSET, BANK, FUNDS, NOISY_TENANT, TENANT, Ground, Record, Workload
from loadtests.workloads.special import Duplicates, MultiEntry, Noisy
from loadtests.workloads.transfers import Transfers, by_zipf, evenly, to_one_merchant

__all__ = [
    "ASSET",
    "BANK",
    "FUNDS",
    "NOISY_TENANT",
    "TENANT",
    "WORKLOADS",
    "Ground",
    "Record",
    "Workload",
    "named",
]

_ALL: tuple[Workload, ...] = (
    Transfers("uniform", evenly),
    Transfers("zipf", by_zipf),
    Transfers("hot", to_one_merchant),
    Transfers("wide", evenly, customers=1_000_000, grown=True),
    Duplicates(),
    Mixed(),
    MultiEntry(),
    Payments(),
    Transfers("reads_beside_writes", evenly, needs=frozenset({"api", "reads"})),
    Noisy(),
)

WORKLOADS = {workload.name: workload for workload in _ALL}


class UnknownWorkloadError(ValueError):
    """There is no workload of that name; the message lists those that there are."""


def named(name: str) -> Workload:
    """Give a workload by its name; raises UnknownWorkloadError."""
    if name not in WORKLOADS:
        raise UnknownWorkloadError(f"no workload {name!r}: there are {', '.join(WORKLOADS)}")
    return WORKLOADS[name]
