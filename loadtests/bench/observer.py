"""`python -m loadtests.bench.observer`: reads outcomes, and counts how long after they were due events were handled.

All moments are of this machine's clock. An event is *decided* at the outcome's `posted_at`, which the database read
under its locks; *committed* by the timestamp of the outcome's record, which is made after the commit, and counts as
the end of its millisecond; and its *outcome* is seen when this process has it.
"""

import gc
import signal
import sys
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import datetime
from threading import Thread
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from loadtests.bench.latencies import Latencies
from loadtests.bench.orders import (
    Observed,
    Order,
    Probe,
    Seen,
    memory_mib,
    order,
    start_at,
    tell,
    wait_for_word,
)

AHEAD_S = 30.0
"""Ids are known this long before they are due."""

POLL_S = 0.05
TELL_S = 0.25
PREPARED_AT_ONCE = 20
"""So few that no outcome waits for it."""

DECIDED, COMMITTED, OUTCOME = "published_to_decided", "published_to_committed", "published_to_outcome"


class _Named(msgspec.Struct):
    id: str


class _When(msgspec.Struct):
    posted_at: datetime | None = None


class _Outcome(msgspec.Struct):
    id: str
    data: _When


class _Entry(msgspec.Struct):
    account: str
    asset: str
    version: int


class _Entries(msgspec.Struct):
    entries: list[_Entry] = []


class _Posted(msgspec.Struct):
    tenant: str
    data: _Entries


_named = msgspec.json.Decoder(_Named)
_outcome = msgspec.json.Decoder(_Outcome)
_posted = msgspec.json.Decoder(_Posted)


class Awaited:
    """Which record each id is of that was not seen yet; an id that comes again is of several, in their order."""

    def __init__(self, given: Order) -> None:
        self._every = given.sample_every
        self._records = enumerate(given.records())
        self._schedule = given.schedule
        self._first: dict[str, int] = {}
        self._again: dict[str, deque[int]] = {}
        self._prepared = 0

    def prepare(self, until_s: float, most: int = sys.maxsize) -> None:
        """Learn the ids that are due until then, at most so many."""
        for index, record in self._some(min(most, self._schedule.due_by(until_s) - self._prepared)):
            if index % self._every == 0:
                self._expect(index, record.value)

    def take(self, event_id: str) -> int | None:
        """Give the record that an outcome is of; None if nobody waits for it."""
        index = self._first.pop(event_id, None)
        if index is not None and self._again and (rest := self._again.get(event_id)):
            self._first[event_id] = rest.popleft()
        return index

    def left(self, sent: int) -> int:
        """Count the records that are still awaited, of those that were sent."""
        waiting = sum(index < sent for index in self._first.values())
        return waiting + sum(index < sent for rest in self._again.values() for index in rest)

    def _some(self, count: int) -> Iterator[tuple[int, Any]]:
        for _, each in zip(range(count), self._records, strict=False):
            self._prepared += 1
            yield each

    def _expect(self, index: int, value: bytes) -> None:
        try:
            event_id = _named.decode(value).id
        except msgspec.MsgspecError:
            return  # it becomes a dead letter, which has no outcome
        if event_id in self._first:
            self._again.setdefault(event_id, deque()).append(index)
        else:
            self._first[event_id] = index


class Observer:
    """Observes one order."""

    def __init__(self, given: Order) -> None:
        self._order = given
        self._schedule = given.schedule
        self._awaited = Awaited(given)
        self._indexes = array("q")
        self._decided_us = array("d")
        self._committed_us = array("d")
        self._outcome_us = array("d")
        self._foreign = 0
        self._sent: int | None = None
        self._given_up = False

    def run(self) -> Observed:
        """Prepare, read from the start on, and stop when all that was sent was seen, or when told to."""
        consumer = self._consumer()
        self._awaited.prepare(AHEAD_S)
        gc.freeze()
        gc.disable()
        start, begun = start_at(), time.process_time()
        Thread(target=self._listen, daemon=True).start()
        try:
            self._read(consumer, start)
        finally:
            consumer.close()
        return self._result(time.process_time() - begun)

    def _consumer(self) -> Consumer:
        consumer = Consumer(
            {"bootstrap.servers": self._order.kafka, "group.id": "observer", "enable.auto.commit": False}
        )
        topic = self._order.outcomes_topic
        found = consumer.list_topics(topic, timeout=30).topics[topic]
        places = [TopicPartition(topic, number) for number in found.partitions]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place, timeout=30)[1]
        consumer.assign(places)
        return consumer

    def _listen(self) -> None:
        """Hear how many records were sent; the end of the input means that nobody waits any longer."""
        line = sys.stdin.buffer.readline()
        if line:
            self._sent = int(line)
            wait_for_word()
        self._given_up = True

    def _read(self, consumer: Consumer, start: float) -> None:
        told = 0.0
        while not self._given_up:
            message = consumer.poll(POLL_S)
            now = time.time()
            if message is not None:
                self._take(message, start, now)
            if now - told > TELL_S:
                told = now
                tell(Seen(now - start, len(self._indexes), self._foreign))
            self._awaited.prepare(now - start + AHEAD_S, PREPARED_AT_ONCE)
            if message is None and self._sent is not None and not self._awaited.left(self._sent):
                return

    def _take(self, message: Message, start: float, now: float) -> None:
        if (error := message.error()) is not None:
            raise KafkaException(error)
        value = message.value() or b""
        found = _outcome.decode(value)
        index = self._awaited.take(found.id)
        if index is None:
            self._foreign += 1
            return
        due_s = self._schedule.due_s(index)
        due = start + due_s
        self._indexes.append(index)
        posted_at = found.data.posted_at
        self._decided_us.append((posted_at.timestamp() - due) * 1e6 if posted_at else float("nan"))
        self._committed_us.append(((message.timestamp()[1] + 1) / 1000 - due) * 1e6)
        self._outcome_us.append((now - due) * 1e6)
        if self._order.probe_every and index % self._order.probe_every == 0:
            _tell_probe(value, due_s)

    def _result(self, cpu_s: float) -> Observed:
        latencies = {DECIDED: self._decided_us, COMMITTED: self._committed_us, OUTCOME: self._outcome_us}
        steps = [self._schedule.step_of(index) for index in self._indexes]
        return Observed(
            seen=len(self._indexes),
            missing=self._awaited.left(self._schedule.count if self._sent is None else self._sent),
            foreign=self._foreign,
            latencies={name: _all(values) for name, values in latencies.items()},
            by_step=[
                {name: _all(values, steps, number) for name, values in latencies.items()}
                for number in range(len(self._schedule.steps))
            ],
            by_second=self._by_second(),
            cpu_s=cpu_s,
            memory_mib=memory_mib(),
        )

    def _by_second(self) -> dict[str, list[tuple[float, float]]]:
        """The median and the 99th percentile (ms) of those that were due in each second."""
        seconds: dict[int, list[float]] = defaultdict(list)
        for index, latency_us in zip(self._indexes, self._committed_us, strict=True):
            seconds[int(self._schedule.due_s(index))].append(latency_us / 1000)
        ordered = [(float(second), sorted(found)) for second, found in sorted(seconds.items())]
        return {
            f"p{percentile}_ms": [
                (second, round(found[len(found) * percentile // 100], 3)) for second, found in ordered
            ]
            for percentile in (50, 99)
        }


def _all(values: "array[float]", steps: list[int] | None = None, step: int = 0) -> str:
    chosen = (
        values if steps is None else (value for value, of in zip(values, steps, strict=True) if of == step)
    )
    return Latencies().add_all(value for value in chosen if value == value).encoded()


def _tell_probe(value: bytes, due_s: float) -> None:
    posted = _posted.decode(value)
    if posted.data.entries:
        entry = posted.data.entries[0]
        tell(Probe(due_s, posted.tenant, entry.account, entry.asset, entry.version))


def main() -> None:
    """Read the order, and observe it; whoever started this process ends it when interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tell(Observer(order()).run())
    except KafkaException as error:
        raise SystemExit(f"outcomes cannot be read: {error}") from error


if __name__ == "__main__":
    main()
