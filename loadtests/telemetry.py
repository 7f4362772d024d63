"""What logs, metrics and traces cost an event: `python -m loadtests.telemetry`; no server is needed.

The posting of a chunk tells the same signals with each set of listeners, in turns, and the best of many turns counts.
"""

import argparse
import asyncio
import io
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from time import perf_counter, time
from types import SimpleNamespace
from typing import Any

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
TURNS = 60
EVENTS_S = 27_000.0
"""What one posting worker posts a second where nothing else runs: see docs/performance.md."""


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
    """The sets that are compared, each with those before it."""
    log, metrics = SignalLog(), WorkerMetrics(CollectorRegistry())
    traces = Traces(NoSpans(), share=1.0, chance=Random(1).random, now=time)
    return {
        "nobody": (),
        "logs": (log,),
        "metrics": (metrics,),
        "logs, metrics": (log, metrics),
        "logs, metrics, traces": (log, metrics, traces),
    }


def measure(told: Told, sets: dict[str, tuple[Listener, ...]], turns: int) -> dict[str, float]:
    """Give the seconds that each set takes for the chunk: the best of many turns."""
    best = dict.fromkeys(sets, float("inf"))
    for _ in range(turns):
        for name, each in sets.items():
            best[name] = min(best[name], _seconds(lambda each=each: told.to(Signals(*each))))  # type: ignore[misc]
    return best


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
            best = measure(told, listeners(), TURNS)
        print(f"{RECORDS} events a chunk, {sampled} of them in traces that are kept")
        for name, seconds in best.items():
            share = seconds / (RECORDS / given.events_s)
            print(
                f"  {name:24} {seconds / RECORDS * 1e6:8.3f} µs an event   {share:8.3%} of {given.events_s:,.0f}/s"
            )


if __name__ == "__main__":
    main()
