"""F20: workers whose clocks are an hour ahead, an hour behind, and jump back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import CLOCKS, Fault
from loadtests.chaos.shifted import CLOCK
from loadtests.chaos.stage import PAYING, POSTING, Stage
from streams.embedded.part import Part

HOUR_S = 3600
LIVED_S = 15.0
_REFUSED = """
select reason, count(*) from processed_events where reason in ('event_from_future', 'event_too_old') group by 1
"""


async def _wrong_clocks(stage: Stage, random: Random) -> dict[str, Any]:
    """Set one posting worker ahead, the other behind, payments ahead; then let all jump back by two hours."""
    names = [*stage.crew.names(POSTING), *stage.crew.names(PAYING)]
    before = await _refused(stage)
    usual = await stage.crew.stop(*names)
    files = {part.name: stage.state.path / f"{part.name}.clock" for part in usual}
    shifts = {part.name: (HOUR_S, -HOUR_S)[number % 2] for number, part in enumerate(usual)}
    for name, file in files.items():
        file.write_text(str(shifts[name]))
    try:
        await stage.crew.start(*(_wrong(part, files[part.name]) for part in usual))
        await asyncio.sleep(LIVED_S)
        for name, file in files.items():
            file.write_text(str(shifts[name] - 2 * HOUR_S))
        await asyncio.sleep(LIVED_S)
    finally:
        await stage.crew.stop(*names)
        await stage.crew.start(*usual)
    refused = {name: count - before.get(name, 0) for name, count in (await _refused(stage)).items()}
    if any(refused.values()):
        raise CrewError(f"good events were refused for their time: {refused}")
    return {"wrong by s": shifts, "then back by s": 2 * HOUR_S}


def _wrong(part: Part, clock: Path) -> Part:
    return replace(part, command=_shifted(part.command), environment={**part.environment, CLOCK: str(clock)})


def _shifted(command: Callable[[], Awaitable[Sequence[str]]]) -> Callable[[], Awaitable[Sequence[str]]]:
    async def shifted() -> Sequence[str]:
        return ["loadtests.chaos.shifted" if word == "streams.cli" else word for word in await command()]

    return shifted


async def _refused(stage: Stage) -> dict[str, int]:
    return {row["reason"]: row["count"] for row in await stage.sql(_REFUSED)}


FAULTS = (Fault("F20", "clocks an hour off, jumping back", _wrong_clocks, CLOCKS),)
