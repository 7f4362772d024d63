"""What aiokafka gives by itself: the topic of `uniform` read from end to end, and decoded, by one consumer."""

from collections.abc import Iterable
from time import perf_counter, time_ns
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from loadtests.bench.results import Measured
from loadtests.bench.stage import Stage
from loadtests.cpu import CpuMeter
from loadtests.workloads import Record, named

CASE = "reference/kafka_alone"
POLL_MS = 1000
WAIT_S = 30.0


class Sum(NamedTuple):
    """What was read: records, and their amounts in minor units."""

    records: int = 0
    amount: int = 0


class SilentTopicError(Exception):
    """Records that were written cannot be read."""


async def measure(stage: Stage, events: int, seed: int) -> Measured:
    """Fill the topic, then read all of it."""
    written = await _fill(stage, events, seed)
    meter = CpuMeter(stage)
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.servers.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        topic = stage.settings.payments_topic
        meter.start()
        begun = perf_counter()
        consumer.assign([TopicPartition(topic, number) for number in range(stage.settings.partitions)])
        read = await _read(consumer, events, stage.settings.batch_records_max)
        seconds = perf_counter() - begun
        meter.stop()
    finally:
        await consumer.stop()
    return Measured(
        case=CASE,
        rate=events / seconds,
        seconds=seconds,
        events=events,
        cpu_s=meter.told(),
        checked=[] if read == written else [f"read {read}, written {written}"],
        settings={"partitions": stage.settings.partitions, "records_max": stage.settings.batch_records_max},
    )


async def _fill(stage: Stage, events: int, seed: int) -> Sum:
    records = list(named("uniform").records(events, seed, time_ns() // 1_000_000))
    await stage.fill(records)
    return _sum(records)


def _sum(records: Iterable[Record]) -> Sum:
    amounts = [orjson.loads(record.value)["data"]["amount"] for record in records]
    return Sum(len(amounts), sum(amounts))


async def _read(consumer: AIOKafkaConsumer, events: int, records_max: int) -> Sum:
    """Read so many; raises SilentTopicError if there are not as many."""
    records = amount = 0
    heard = perf_counter()
    while records < events:
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=records_max)
        for messages in found.values():
            for message in messages:
                amount += orjson.loads(message.value)["data"]["amount"]
            records += len(messages)
        if found:
            heard = perf_counter()
        elif perf_counter() - heard > WAIT_S:
            raise SilentTopicError(f"{records:,} of {events:,} records came")
    return Sum(records, amount)
