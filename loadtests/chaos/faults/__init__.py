"""All faults of the table, by name."""

from loadtests.chaos.fault import Fault
from loadtests.chaos.faults import crashes, databases, logs, records, workers

_ALL: tuple[Fault, ...] = (
    *crashes.FAULTS,
    *workers.FAULTS,
    *databases.FAULTS,
    *logs.FAULTS,
    *records.FAULTS,
)

FAULTS = {fault.name: fault for fault in sorted(_ALL, key=lambda fault: fault.number)}
