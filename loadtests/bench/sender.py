"""`python -m loadtests.bench.sender`: sends records at the moments at which they are due, whatever the ledger does.

A process of its own, so that nothing else delays it. It waits for no answer: a record that goes out late stays
due when it was due, and every latency counts from there.
"""

import gc
import signal
import time
from array import array
from collections.abc import Iterator
from itertools import chain, islice
from threading import Thread
from typing import Any

from confluent_kafka import KafkaException, Producer

from loadtests.bench.latencies import Latencies
from loadtests.bench.orders import Order, Sent, memory_mib, order, start_at, tell, wait_for_word
from loadtests.bench.packing import PACKED, produce
from loadtests.workloads import Record

PREPARED_MAX = 1_000_000
REST_S = 0.002
"""The shortest sleep: at high rates records go out in groups of two milliseconds, which counts as latency."""

FLUSH_S = 60.0
QUEUE_MAX = 2_000_000


class Sender:
    """Sends one order."""

    def __init__(self, given: Order) -> None:
        self._order = given
        self._failed = 0
        self._stopped = False
        self._late_us = array("d")
        self._producer = Producer(
            {
                **PACKED,
                "bootstrap.servers": given.kafka,
                "linger.ms": given.linger_ms,
                "queue.buffering.max.messages": QUEUE_MAX,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
            }
        )

    def run(self) -> Sent:
        """Prepare, start when told to, and send all, or until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        records = self._order.records()
        prepared = list(islice(records, PREPARED_MAX))
        self._producer.list_topics(self._order.payments_topic, timeout=30)
        gc.freeze()
        gc.disable()
        start, begun = start_at(), time.process_time()
        Thread(target=self._listen, daemon=True).start()
        self._send(chain(prepared, records), start)
        left = self._producer.flush(FLUSH_S)
        spent = time.process_time() - begun
        late = Latencies().add_all(self._late_us)
        return Sent(len(self._late_us), late.encoded(), self._failed + left, spent, memory_mib())

    def _send(self, records: Iterator[Record], start: float) -> None:
        for due_s, record in zip(self._order.schedule.dues_s(), records, strict=False):
            due = start + due_s
            while (early := due - time.time()) > 0 and not self._stopped:
                self._producer.poll(0)
                time.sleep(max(early, REST_S))
            if self._stopped:
                return
            produce(self._producer, self._order.payments_topic, record)
            self._late_us.append((time.time() - due) * 1e6)

    def _delivered(self, error: Any, message: Any) -> None:
        self._failed += error is not None

    def _listen(self) -> None:
        """Stop when whoever started this process is gone."""
        wait_for_word()
        self._stopped = True

    def _stop(self, *_: object) -> None:
        self._stopped = True


def main() -> None:
    """Read the order, and carry it out; whoever started this process ends it when interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tell(Sender(order()).run())
    except KafkaException as error:
        raise SystemExit(f"Kafka does not take records: {error}") from error


if __name__ == "__main__":
    main()
