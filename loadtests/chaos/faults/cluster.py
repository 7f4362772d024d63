"""F14: brokers of three die while they lead, clean and hard, five times."""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping, Set
from random import Random
from typing import Any

from confluent_kafka.admin import AdminClient

from loadtests.chaos.fault import CLUSTER, DidNotHappenError, Fault
from loadtests.chaos.stage import Stage

BROKERS = (1, 2, 3)
DEATHS = 5
ANSWER_S = 10.0
IN_SYNC_S = 60.0


async def _leaders_killed(stage: Stage, random: Random) -> dict[str, Any]:
    """Kill whoever leads most; all three are hit first, so the controller is among them."""
    died, hit = [], set[int]()
    for number in range(DEATHS):
        led = Counter(await asyncio.to_thread(_leaders, stage))
        broker = next_to_die(led, hit, random)
        way = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        await stage.kill_server(f"kafka-{broker}", way)
        await _until_in_sync(stage)
        hit.add(broker)
        died.append(f"kafka-{broker} by {way.name}, leader of {led[broker]} partitions")
        if not led[broker]:
            raise DidNotHappenError(f"kafka-{broker} led nothing when it died", {"died": died})
    return {"died": died}


def next_to_die(led: Mapping[int, int], hit: Set[int], random: Random) -> int:
    """Choose, of those that were not hit or else of all, one that leads most: leadership does not come back."""
    left = [broker for broker in BROKERS if broker not in hit] or list(BROKERS)
    most = max(led.get(broker, 0) for broker in left)
    return random.choice([broker for broker in left if led.get(broker, 0) == most])


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
