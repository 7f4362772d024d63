"""`python -m loadtests.chaos.sender`: sends traffic at a rate that may change, and writes down what the broker said.

Its first line of input is the order; then it sends the opening and says so; each further line of input changes
the pace. The end of the input ends it, when all that was sent was answered.
"""

import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import msgspec
from confluent_kafka import KafkaError, Producer

from ledger.contract.outgoing import CONTENT_TYPE
from loadtests.bench.packing import PACKED
from loadtests.chaos.traffic import USUAL, Record, Traffic
from loadtests.chaos.truth import SentRecord

DELIVERY_S = 110.0
"""So long the producer tries: longer than any fault takes."""

REST_S = 0.01
TELL_S = 0.25
BEHIND_S_MAX = 1.0
"""What could not be sent for longer than this (this process was stopped, the queue was full) is not made up for."""


class Order(msgspec.Struct, frozen=True):
    """Where records go, and where the truth is written."""

    kafka: str
    topic: str
    seed: int
    truth: str


class Pace(msgspec.Struct, frozen=True):
    """So many records a second, of each kind so many parts."""

    rate: float
    weights: dict[str, float] = msgspec.field(default_factory=lambda: dict(USUAL))


class Told(msgspec.Struct, frozen=True):
    """What was sent so far; `opened` once the opening was acknowledged."""

    sent: int
    acknowledged: int
    failed: int
    opened: bool


class Sender:
    """Sends by one order."""

    def __init__(self, order: Order, truth: BinaryIO) -> None:
        self._topic = order.topic
        self._truth = truth
        self._traffic = Traffic(order.seed, lambda: datetime.now(UTC))
        self._encoder = msgspec.json.Encoder()
        self._pace = Pace(0.0)
        self._ended = False
        self._opened = False
        self._sent = self._acknowledged = self._failed = 0
        self._told = 0.0
        self._kafka = order.kafka
        self._is_stuck = False
        self._producer = _producer(order.kafka)

    def run(self) -> None:
        """Send until the input ends."""
        for record in self._traffic.opening():
            self._produce(record)
        self._producer.flush(DELIVERY_S)
        self._opened = True
        Thread(target=self._listen, daemon=True).start()
        self._send()
        self._producer.flush(DELIVERY_S)
        self._tell()

    def _send(self) -> None:
        due = time.time()
        while not self._ended:
            now, pace = time.time(), self._pace
            due = max(due, now - BEHIND_S_MAX)
            while pace.rate and due <= now:
                self._produce(self._traffic.next(pace.weights))
                due += 1 / pace.rate
            if not pace.rate:
                due = now
            self._producer.poll(REST_S)
            if self._is_stuck:
                self._begin_anew()
            if now - self._told > TELL_S:
                self._tell()

    def _begin_anew(self) -> None:
        """Take another producer: librdkafka was seen to connect no more after its broker had come back."""
        self._producer.purge()
        self._producer.flush(DELIVERY_S)
        self._producer = _producer(self._kafka)
        self._is_stuck = False

    def _produce(self, record: Record) -> None:
        answered = partial(self._answered, record, time.time())
        while True:
            try:
                self._producer.produce(
                    self._topic, record.value, record.key, headers=[CONTENT_TYPE], on_delivery=answered
                )
            except BufferError:
                self._producer.poll(REST_S)
            else:
                self._sent += 1
                return

    def _answered(self, record: Record, at: float, error: Any, message: Any) -> None:
        self._failed += error is not None
        self._acknowledged += error is None
        self._is_stuck |= error is not None and error.code() == KafkaError._MSG_TIMED_OUT
        place = (None, None, str(error)) if error else (message.partition(), message.offset(), None)
        line = SentRecord(at, record.kind, record.key, record.value, *place)
        self._truth.write(self._encoder.encode(line) + b"\n")

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            self._pace = msgspec.json.decode(line, type=Pace)
        self._ended = True

    def _tell(self) -> None:
        self._told = time.time()
        self._truth.flush()
        told = Told(self._sent, self._acknowledged, self._failed, self._opened)
        sys.stdout.buffer.write(self._encoder.encode(told) + b"\n")
        sys.stdout.buffer.flush()


def _producer(kafka: str) -> Producer:
    return Producer(
        {
            **PACKED,
            "bootstrap.servers": kafka,
            "linger.ms": 5,
            "log_level": 0,
            "message.max.bytes": 2_000_000,
            "message.timeout.ms": int(DELIVERY_S * 1000),
            "reconnect.backoff.max.ms": 500,
        }
    )


def main() -> None:
    """Read the order, and carry it out; whoever started this process ends it when interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    with Path(order.truth).open("ab") as truth:
        Sender(order, truth).run()


if __name__ == "__main__":
    main()
