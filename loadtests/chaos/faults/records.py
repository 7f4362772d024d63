"""F16 to F19: what producers send: repeats, conflicting ids, captures before holds, poison, unknown versions."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any

from loadtests.chaos.fault import DidNotHappenError, Fault, Injection
from loadtests.chaos.stage import Stage

SENT_S = 12.0


def _sending(*mixes: Mapping[str, float]) -> Injection:
    """Give what sends these weights one after another instead of the usual ones."""

    async def inject(stage: Stage, random: Random) -> dict[str, Any]:
        before = stage.load.told.sent
        try:
            for weights in mixes:
                stage.load.pace(weights=weights)
                await asyncio.sleep(stage.lasting(SENT_S) / len(mixes))
        finally:
            stage.load.begin()
        if stage.load.told.sent == before:
            raise DidNotHappenError("nothing was sent")
        return {"weights": [dict(weights) for weights in mixes], "records": stage.load.told.sent - before}

    return inject


FAULTS = (
    Fault(
        "F16",
        "duplicates from 1 to 50 %, and the same id with other content",
        _sending(*({"again": again, "conflicting": 5.0} for again in (1.0, 20.0, 110.0))),
    ),
    Fault("F17", "reordered: captures before their holds", _sending({"reordered": 30.0})),
    Fault("F18", "poison: what is no event", _sending({"poison": 25.0})),
    Fault("F19", "unknown versions and members", _sending({"unknown": 40.0})),
)
