"""What the sender and the observer are told, and what they tell: one JSON line each."""

import os
import resource
import sys
from collections.abc import Iterator

import msgspec

from loadtests.bench.schedule import Schedule, Step
from loadtests.workloads import Record, named


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which records are sent and when; the same for both, so that both know when which id is due.

    `at_ms` is the time of the newest id. Of the records every `sample_every`-th is timed, and the windows are
    asked for every `probe_every`-th; with 0 for none.
    """

    kafka: str
    payments_topic: str
    outcomes_topic: str
    workload: str
    seed: int
    at_ms: int
    steps: list[Step]
    linger_ms: float = 5.0
    sample_every: int = 1
    probe_every: int = 0

    @property
    def schedule(self) -> Schedule:
        """When each record is due."""
        return Schedule(self.steps)

    def records(self) -> Iterator[Record]:
        """Make the records in the order in which they are due."""
        return named(self.workload).records(self.schedule.count, self.seed, self.at_ms)


class Sent(msgspec.Struct, frozen=True, tag=True):
    """What the sender says at its end: `late` is from when a record was due to when it was handed to the client."""

    sent: int
    late: str
    failed: int
    cpu_s: float
    memory_mib: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """All is prepared; the moment of the start is awaited, in seconds since 1970."""


class Seen(msgspec.Struct, frozen=True, tag=True):
    """How far the observer is: seconds from the start, records seen, and records whose id nobody waits for."""

    at_s: float
    seen: int
    foreign: int


class Probe(msgspec.Struct, frozen=True, tag=True):
    """An entry that was posted, to look for in the windows."""

    due_s: float
    tenant: str
    account: str
    asset: str
    version: int


class Observed(msgspec.Struct, frozen=True, tag=True):
    """What the observer says at its end, histograms encoded: all together, and step by step.

    `by_second` gives for each second in which records were due the 99th percentile (ms) until they were committed.
    """

    seen: int
    missing: int
    foreign: int
    latencies: dict[str, str]
    by_step: list[dict[str, str]]
    by_second: dict[str, list[tuple[float, float]]]
    cpu_s: float
    memory_mib: float


Told = Ready | Seen | Probe | Sent | Observed
_TOLD: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)


def told(line: bytes) -> Told:
    """Read a line of the sender or the observer."""
    return _TOLD.decode(line)


def tell(what: Told) -> None:
    """Write a line to whoever started this process."""
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def order() -> Order:
    """Read the order from the standard input."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)


def start_at() -> float:
    """Say that all is prepared, and wait to be told when to start: seconds since 1970."""
    tell(Ready())
    line = sys.stdin.buffer.readline()
    if not line:
        raise SystemExit("nobody says when to start")
    return float(line)


def wait_for_word() -> None:
    """Wait until whoever started this process says anything more, or is gone.

    Without Python's buffer: its lock would be held when the process ends, which is fatal to it.
    """
    os.read(sys.stdin.fileno(), 1)


def tell_sent(count: int) -> bytes:
    """Write for the observer how many records were sent: those it waits for, and no more."""
    return b"%d\n" % count


def memory_mib() -> float:
    """The most memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
