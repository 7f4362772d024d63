"""All faults of the table, by name."""

from loadtests.chaos.fault import Fault
from loadtests.chaos.faults import (
    caches,
    clocks,
    cluster,
    combined,
    contention,
    crashes,
    databases,
    disks,
    failovers,
    limits,
    logs,
    networks,
    operations,
    providers,
    records,
    versions,
    windows,
    workers,
)

_MODULES = (
    crashes,
    workers,
    databases,
    failovers,
    contention,
    disks,
    logs,
    cluster,
    records,
    clocks,
    networks,
    caches,
    providers,
    windows,
    limits,
    versions,
    operations,
    combined,
)
_ALL: list[Fault] = [fault for module in _MODULES for fault in module.FAULTS]

FAULTS = {fault.name: fault for fault in sorted(_ALL, key=lambda fault: fault.number)}
