"""F10, F21, F22: PostgreSQL far away and narrow; partitions in every direction; connections reset and half open."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import DidNotHappenError, Fault, programs
from loadtests.chaos.network import apart
from loadtests.chaos.proxy import Proxy, Weather
from loadtests.chaos.stage import POSTING, SESSION_S, Stage

SLOW_S = 25.0
DELAY_S = 0.1
BYTES_S = 400_000.0
REBALANCES_MAX = 2
HELD_S = SESSION_S + 4.0
REVOKED = "partitions.revoked"
ASSIGNED = "partitions.assigned"
JOIN_S = 40.0


async def _slow_database(stage: Stage, random: Random) -> dict[str, Any]:
    """Have each piece of every answer take long: the stream waits, and nobody leaves the group."""
    before = stage.logged(f"{POSTING}*", REVOKED)
    async with _weather([stage.proxies["postgres"]], Weather(delay_s=DELAY_S, bytes_s=BYTES_S)):
        await asyncio.sleep(SLOW_S)
    rebalances = stage.logged(f"{POSTING}*", REVOKED) - before
    if rebalances > REBALANCES_MAX:
        raise CrewError(f"a slow database made {rebalances} rebalances")
    return {"delay_s": DELAY_S, "bytes_s": BYTES_S, "for_s": SLOW_S, "rebalances": rebalances}


async def _partitions(stage: Stage, random: Random) -> dict[str, Any]:
    """Hold bytes back, in one direction and in both, for longer than a session; each server in turn."""
    kafka = [broker.proxy for broker in stage.brokers]
    cases = [
        ("Kafka hears nothing", kafka, Weather(holds_up=True)),
        ("Kafka is not heard", kafka, Weather(holds_down=True)),
        ("PostgreSQL is not heard", [stage.proxies["postgres"]], Weather(holds_down=True)),
        ("a black hole", [*kafka, stage.proxies["postgres"]], Weather(holds_up=True, holds_down=True)),
    ]
    random.shuffle(cases)
    for _, proxies, weather in cases:
        async with _weather(proxies, weather):
            await asyncio.sleep(HELD_S)
        await asyncio.sleep(random.uniform(2.0, 4.0))
    did: dict[str, Any] = {"held": [name for name, *_ in cases], "for_s": HELD_S}
    lacking = programs("ip")()
    if lacking is not None:
        raise DidNotHappenError(f"the link of a worker was not cut: {lacking}", did)
    did["held"] += await _link_cut(stage, random)
    return did


async def _link_cut(stage: Stage, random: Random) -> list[str]:
    """Cut the link of one worker in a network namespace of its own, then one direction of it."""
    async with apart(stage, random) as space:
        before = stage.logged(f"{POSTING}*", ASSIGNED)
        worker = await stage.another(POSTING, prefix=space.prefix)
        try:
            await _until_joined(stage, before)
            for cut, mend in ((space.cut, space.mend), (space.deafen, space.undeafen)):
                await cut()
                try:
                    await asyncio.sleep(HELD_S)
                finally:
                    await mend()
                await asyncio.sleep(3.0)
        finally:
            await worker.end()
    return ["the link of one worker", "one direction of that link"]


async def _until_joined(stage: Stage, before: int) -> None:
    try:
        async with asyncio.timeout(JOIN_S):
            while stage.logged(f"{POSTING}*", ASSIGNED) <= before:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.2)
            await asyncio.sleep(SESSION_S)
    except TimeoutError:
        raise DidNotHappenError("the worker in the namespace did not join its group") from None


async def _resets(stage: Stage, random: Random) -> dict[str, Any]:
    """Reset every connection; leave them half open; cut them in the middle of a record."""
    cut = {"reset": 0, "half open": 0, "cut in the middle": 0}
    proxies = [
        *(broker.proxy for broker in stage.brokers),
        stage.proxies["postgres"],
        stage.proxies["provider"],
    ]
    for _ in range(3):
        for proxy in proxies:
            cut["reset"] += proxy.reset()
        await asyncio.sleep(random.uniform(1.0, 3.0))
    for proxy in proxies:
        cut["half open"] += proxy.half_open()
        await asyncio.sleep(random.uniform(2.0, 5.0))
    accepted = sum(proxy.accepted for proxy in proxies)
    async with _weather(proxies, Weather(cuts_after_bytes=random.randrange(20_000, 200_000))):
        await asyncio.sleep(8.0)
    cut["cut in the middle"] = sum(proxy.accepted for proxy in proxies) - accepted
    return cut


@asynccontextmanager
async def _weather(proxies: Sequence[Proxy], weather: Weather) -> AsyncIterator[None]:
    """Have this weather to the end of the block."""
    for proxy in proxies:
        proxy.weather = weather
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.clear()


FAULTS = (
    Fault("F10", "slow PostgreSQL: the stream waits, no rebalance loop", _slow_database),
    Fault("F21", "partitions: one way, both ways, a link that is cut", _partitions),
    Fault("F22", "connections reset, half open, cut in the middle", _resets),
)
"""The partition in a namespace is left out where there is no root or no `ip`; what was held is in `did`."""
