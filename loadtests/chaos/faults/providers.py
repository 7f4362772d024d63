"""F24, F25, F26: a provider that fails in every way, deaths at each step of a saga, refunds that are refused."""

import asyncio
import signal
from random import Random
from typing import Any

from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import PAYING, Stage
from loadtests.payments import faulty
from streams.embedded.programs import PROVIDER

FAULTY_SHARE = 0.9
FAULTY_S = 20.0
AWAY_S = 5.0
REFUSED_TIMES = 4
POINTS = ("saga_stored", "attempt_begun", "provider_answered", "step_published")
PAYING_WEIGHTS = {"paying": 20.0}


async def _provider_faults(stage: Stage, random: Random) -> dict[str, Any]:
    stage.load.pace(weights=PAYING_WEIGHTS)
    try:
        await stage.follow(faulty(FAULTY_SHARE), seed=random.randrange(10**6))
        await asyncio.sleep(FAULTY_S)
        stage.crew.send(PROVIDER, signal.SIGSTOP)
        await asyncio.sleep(AWAY_S)
        stage.crew.send(PROVIDER, signal.SIGCONT)
        await stage.kill_server(PROVIDER)
    finally:
        stage.load.begin()
        await stage.follow([])
    return {"faulty": FAULTY_SHARE, "for_s": FAULTY_S, "stopped_s": AWAY_S, "killed": 1}


async def _deaths_of_sagas(stage: Stage, random: Random) -> dict[str, Any]:
    stage.load.pace(weights=PAYING_WEIGHTS)
    try:
        places = [f"{point}:{random.randint(1, 5)}" for point in POINTS]
        return {"died at": [await stage.die_at(PAYING, place) for place in places]}
    finally:
        stage.load.begin()


async def _refunds_refused(stage: Stage, random: Random) -> dict[str, Any]:
    """Have every refund refused some times; so many come, because payees are closed before the capture."""
    stage.load.pace(weights={"refunded": 10.0})
    try:
        await stage.follow([{"do": "refuse", "on": ["refund"], "times": REFUSED_TIMES}])
        await asyncio.sleep(FAULTY_S)
        async with stage.http.get(f"{stage.url(PROVIDER)}/book") as answer:
            book = await answer.json()
    finally:
        stage.load.begin()
        await stage.follow([])
    return {"refused each": REFUSED_TIMES, "calls": book["calls"]}


FAULTS = (
    Fault("F24", "the provider down, hanging, failing, throttling, answering twice", _provider_faults),
    Fault("F25", "a crash at each step of a saga", _deaths_of_sagas),
    Fault("F26", f"compensation refused {REFUSED_TIMES} times", _refunds_refused),
)
