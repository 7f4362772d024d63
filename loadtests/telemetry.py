"""What logs, metrics and traces cost an event: `python -m loadtests.telemetry`; no server is needed.

The posting of a chunk tells the same signals to each set of listeners, one after another in each of many turns, each
turn beginning with another set. What a set costs is what it takes more than nobody in the same turn: the median over
the turns, with the bounds between which the true median lies with 95 % confidence.
"""

import argparse
import asyncio
import io
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from random import Random
from statistics import median
from time import perf_counter, time
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.system import SystemClock, new_event_id
from ledger.application.post_events import Batch, PostEvents
from ledger.contract.decode import decode_event
from ledger.domain.books import Rules
from ledger.domain.outcome import Outcome
from ledger.observability.logs import SignalLog, configure_logs
from ledger.observability.metrics import WorkerMetrics
from ledger.observability.signals import Listener, Signals
from ledger.observability.spans import Span
from ledger.observability.traceparent import begin
from ledger.observability.traces import Traces

RECORDS = 5000
TURNS = 100
NOBODY = "nobody"
CONFIDENCE = 1.96
EVENTS_S = 18_000.0
"""What the core of one posting worker could post a second: 55 µs an event, see docs/performance.md."""


class NoSpans:
    """Drops spans: sending them is another thread's work."""

    def add(self, span: Span) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What the posting of one chunk tells."""

    outcomes: Sequence[Outcome]
    taken: Sequence[Any]
    begun_at: datetime
    """Before anything was decided: what was decided earlier is taken for redelivered."""

    def to(self, signals: Signals) -> None:
        steps_s = {"decode": 0.01, "post": 0.15, "publish": 0.03}
        signals.emit("connection.given", pool="posting", seconds=0.0001)
        signals.emit("batch.posted", outcomes=self.outcomes, letters=(), s=0.15)
        signals.emit(
            "chunk.handled",
            partition=0,
            records=len(self.taken),
            outcomes=self.outcomes,
            letters=(),
            taken=self.taken,
            begun_at=self.begun_at,
            steps_s=steps_s,
        )
        signals.emit("chunk.joined", topic="payments", partition=0, start=0, end=len(self.taken))


async def posted(records: int, *, sampled: int) -> Told:
    """Post transfers into books in memory; the first `sampled` of them belong to traces that are kept."""
    values = [_transfer(number, traced=number < sampled) for number in range(records)]
    events = [
        decode_event(value, topic="payments", partition=0, offset=number)
        for number, value in enumerate(values)
    ]
    begun_at = datetime.now(UTC)
    post = PostEvents(MemoryBooks(), SystemClock(), Rules(), Signals())
    outcomes = await post(Batch(events))
    now_ms = int(time() * 1000)
    taken = [SimpleNamespace(offset=number, timestamp=now_ms) for number in range(records)]
    return Told(outcomes, taken, begun_at)


def _transfer(number: int, *, traced: bool) -> bytes:
    trace = f'"traceparent":"{begin(is_sampled=True).text}",' if traced else ""
    return (
        f'{{"specversion":"1.0","id":"{new_event_id()}","source":"bench","type":"transfer.post.v1",{trace}'
        f'"tenant":"acme","data":{{"debit":"external:bank","credit":"customer:{number % 500}","amount":1,'
        f'"asset":"USD/2"}}}}'
    ).encode()


def listeners() -> dict[str, tuple[Listener, ...]]:
    """The sets that are compared."""
    log, metrics = SignalLog(), WorkerMetrics(CollectorRegistry())
    traces = Traces(NoSpans(), share=1.0, chance=Random(1).random, now=time)
    return {
        NOBODY: (),
        "logs": (log,),
        "metrics": (metrics,),
        "logs, metrics": (log, metrics),
        "logs, metrics, traces": (log, metrics, traces),
    }


def measure(told: Told, sets: dict[str, tuple[Listener, ...]], turns: int) -> dict[str, list[float]]:
    """Give the seconds that each set takes for the chunk, turn by turn; a turn before them warms up."""
    took: dict[str, list[float]] = {name: [] for name in sets}
    names = deque(sets)
    for _ in range(1 + turns):
        for name in names:
            signals = Signals(*sets[name])
            took[name].append(_seconds(lambda signals=signals: told.to(signals)))  # type: ignore[misc]
        names.rotate(1)
    return {name: seconds[1:] for name, seconds in took.items()}


class Cost(NamedTuple):
    """Seconds: the median, and the bounds of the true one with 95 % confidence."""

    median: float
    low: float
    high: float


def cost(with_them: Sequence[float], without: Sequence[float]) -> Cost:
    """Compare turn by turn; the bounds are differences of certain ranks, whatever their distribution is."""
    more = sorted(one - other for one, other in zip(with_them, without, strict=True))
    rank = max(0, int(len(more) / 2 - CONFIDENCE * sqrt(len(more)) / 2))
    return Cost(median(more), more[rank], more[-1 - rank])


def _seconds(work: Callable[[], None]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events-s", type=float, default=EVENTS_S, help="the rate that the cost is a share of"
    )
    given = parser.parse_args()
    configure_logs(os.environ.get("LEDGER_LOG_LEVEL", "info"))
    for sampled in (0, 5000):
        told = asyncio.run(posted(RECORDS, sampled=sampled))
        with redirect_stderr(io.StringIO()):
            took = measure(told, listeners(), TURNS)
        print(f"{RECORDS} events a chunk, {sampled} of them in traces that are kept, {TURNS} turns")
        for name, seconds in took.items():
            print(f"  {name:24} {_told(cost(seconds, took[NOBODY]), given.events_s)}")


def _told(found: Cost, events_s: float) -> str:
    microseconds = [each / RECORDS * 1e6 for each in found]
    shares = [each / (RECORDS / events_s) for each in found]
    return (
        f"{microseconds[0]:8.3f} µs an event ({microseconds[1]:.3f} to {microseconds[2]:.3f})   "
        f"{shares[0]:8.3%} of {events_s:,.0f}/s ({shares[1]:.3%} to {shares[2]:.3%})"
    )


if __name__ == "__main__":
    main()
