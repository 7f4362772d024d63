"""How records go into the topic of payments: packed by the harness alone, so that every version reads the same bytes.

What the ledger publishes with may change; what it is measured with must not.
"""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer

from ledger.contract.outgoing import CONTENT_TYPE
from loadtests.workloads import Record

CODEC = "lz4"
INPUT = f"The input is packed by the harness, with {CODEC}, whatever the ledger itself packs with."
PACKED: dict[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "compression.type": CODEC,
    "log_level": 2,
}
FILL_LINGER_MS = 50
FILL_BYTES = 256 * 1024
POLL_S = 0.002
FLUSH_S = 60.0


class NotWrittenError(RuntimeError):
    """Kafka did not take records."""


class Filler:
    """Writes records to one topic as fast as Kafka takes them."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._topic = topic
        self._failed = 0
        self._producer = Producer(
            {
                **PACKED,
                "bootstrap.servers": kafka,
                "linger.ms": FILL_LINGER_MS,
                "batch.size": FILL_BYTES,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
            }
        )

    def write(self, records: Sequence[Record]) -> None:
        """Write all, and wait until they are acknowledged; raises NotWrittenError."""
        for record in records:
            produce(self._producer, self._topic, record)
        left = self._producer.flush(FLUSH_S)
        if lost := self._failed + left:
            raise NotWrittenError(f"Kafka did not take {lost:,} of {len(records):,} records")

    def _delivered(self, error: Any, _: Any) -> None:
        self._failed += error is not None


def produce(producer: Producer, topic: str, record: Record) -> None:
    """Hand over one record; waits while the queue is full."""
    while True:
        try:
            return producer.produce(topic, record.value, record.key, headers=[CONTENT_TYPE])
        except BufferError:
            producer.poll(POLL_S)
