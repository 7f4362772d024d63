"""F14: brokers of three die while they lead, clean and hard, five times."""

import asyncio
import signal
from random import Random
from typing import Any

from confluent_kafka.admin import AdminClient

from loadtests.chaos.fault import CLUSTER, Fault
from loadtests.chaos.stage import Stage

DEATHS = 5
ANSWER_S = 10.0
IN_SYNC_S = 60.0


async def _leaders_killed(stage: Stage, random: Random) -> dict[str, Any]:
    """Kill the leader of a partition; all three are hit, so the controller is among them."""
    order = [1, 2, 3, *random.sample([1, 2, 3], DEATHS - 3)]
    random.shuffle(order)
    died = []
    for number, broker in enumerate(order):
        led = (await asyncio.to_thread(_leaders, stage)).count(broker)
        way = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        await stage.kill_server(f"kafka-{broker}", way)
        await _until_in_sync(stage)
        died.append(f"kafka-{broker} by {way.name}, leader of {led} partitions")
    return {"died": died}


def _leaders(stage: Stage) -> list[int]:
    """Say who leads each partition of all topics."""
    return [partition.leader for _, partition in _partitions(stage)]


def _partitions(stage: Stage) -> list[tuple[str, Any]]:
    admin = AdminClient({"bootstrap.servers": stage.kafka, "log_level": 0})
    topics = admin.list_topics(timeout=ANSWER_S).topics
    return [(name, partition) for name, topic in topics.items() for partition in topic.partitions.values()]


async def _until_in_sync(stage: Stage) -> None:
    """Wait until every replica follows again: with two of three away nothing could be written, by design."""
    async with asyncio.timeout(IN_SYNC_S):
        while any(len(each.isrs) < 3 for _, each in await asyncio.to_thread(_partitions, stage)):  # noqa: ASYNC110
            await asyncio.sleep(0.5)


FAULTS = (Fault("F14", f"leader and controller of three killed, {DEATHS} times", _leaders_killed, CLUSTER),)
