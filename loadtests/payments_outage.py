"""A minute in which the provider is away: what is called, what the breaker does, how long payments take.

`python -m loadtests.payments_outage [--rate 50] [--out docs/images/outage.svg]`: draws it, and prints the numbers.
"""

import argparse
import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from loadtests.outage_picture import Outage, Second, draw
from loadtests.payments_load import PaymentLoad
from loadtests.payments_stage import RULES, Stage, Wishes, payments_stage, tell

CUSTOMERS = 500
BEFORE_S, AWAY_S, AFTER_S = 20, 60, 60
TICKS = 10
WAIT_S = 240
OUTAGE_RULES = {**RULES, "deadline_s": 900, "backoff_s": 0.5, "backoff_s_max": 10}
WORST = {0: "closed", 1: "half_open", 2: "open"}

_ENDS = """
select extract(epoch from p.created_at)::float8 as began, extract(epoch from min(s.at))::float8 as ended
from payments p join payment_steps s on (s.event_id, s.tenant_id, s.state) = (p.event_id, p.tenant_id, p.state)
where p.due_at is null group by p.event_id, p.tenant_id, p.created_at
"""
_STATES = "select state, count(*)::int as count from payments group by 1"
_OPEN = "select count(*) from payments where due_at is not null"
_HANDLED = "select coalesce(sum(next_offset), 0)::bigint from stream_offsets"


@dataclass(slots=True)
class Sample:
    """Calls so far by answer, seconds spent in them, and the state of each worker's breaker."""

    calls: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    breakers: list[str] = field(default_factory=list)


class Minute:
    """One run: a paced load, an outage in the middle of it, and a sample each second."""

    def __init__(self, stage: Stage, http: aiohttp.ClientSession, rate: int) -> None:
        self._stage = stage
        self._http = http
        self._rate = rate
        self._load = PaymentLoad(stage.settings.payments_topic, seed=1, customers=CUSTOMERS)
        self._samples: list[tuple[float, Sample]] = []

    async def run(self) -> tuple[Outage, dict[str, Any]]:
        """Give what was seen, by second, and the states of the payments afterwards."""
        await self._stage.fund(self._load.funding())
        while await self._stage.value(_HANDLED) < CUSTOMERS:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.1)
        await self._stage.follow(_script(), webhooks=False)
        started = time()
        await asyncio.gather(self._send(started), self._look(started))
        while await self._stage.value(_OPEN) and time() < started + WAIT_S:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        ends = [(row["began"] - started, row["ended"] - started) for row in await self._stage.sql(_ENDS)]
        states = {row["state"]: row["count"] for row in await self._stage.sql(_STATES)}
        return Outage(BEFORE_S, AWAY_S, self._seconds(ends)), states

    async def _send(self, started: float) -> None:
        for tick in range((BEFORE_S + AWAY_S + AFTER_S) * TICKS):
            await asyncio.sleep(max(0.0, started + tick / TICKS - time()))
            await self._stage.publisher.publish(self._load.make(self._rate // TICKS))

    async def _look(self, started: float) -> None:
        for second in range(BEFORE_S + AWAY_S + AFTER_S + 1):
            await asyncio.sleep(max(0.0, started + second - time()))
            self._samples.append((time() - started, await self._sample()))
            if second % 10 == 0:
                tell(f"{second:3} s {self._samples[-1][1].breakers}")

    async def _sample(self) -> Sample:
        sample = Sample()
        for process in self._stage.stack.state.read().processes:
            if process.name.startswith("payments-"):
                async with self._http.get(f"{process.url}/metrics") as answer:
                    _add(sample, await answer.text())
        return sample

    def _seconds(self, ends: list[tuple[float, float]]) -> list[Second]:
        found = []
        for (_, before), (at, after) in zip(self._samples, self._samples[1:], strict=False):
            calls, spent = after.calls - before.calls, after.seconds - before.seconds
            second = int(at + 0.5) - 1
            ages = sorted(ended - began for began, ended in ends if second <= ended < second + 1)
            found.append(
                Second(
                    second,
                    dict(calls),
                    tuple(after.breakers),
                    spent / calls.total() if calls.total() else None,
                    (ages[len(ages) // 2], ages[-1]) if ages else None,
                    len(ages),
                )
            )
        return found


def _add(sample: Sample, text: str) -> None:
    """Add one worker's metrics. What it puts off itself, because the breaker is open, is no call."""
    worst = 0
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == "ledger_provider_call_seconds_count":
                sample.calls[each.labels["answer"]] += int(each.value)
            elif each.name == "ledger_provider_call_seconds_sum":
                sample.seconds += each.value
            elif each.name == "ledger_provider_breaker":
                worst = max(worst, int(each.value))
    sample.breakers.append(WORST[worst])


def _script() -> list[dict[str, Any]]:
    """Give an outage: first it hangs, then it answers 503."""
    middle, end = BEFORE_S + AWAY_S / 2, BEFORE_S + AWAY_S
    everything = {"on": ["charge", "refund", "status"]}
    return [
        {"do": "hang", **everything, "from_s": BEFORE_S, "until_s": middle},
        {"do": "unavailable", **everything, "from_s": middle, "until_s": end},
        {"do": "accept", "delay_s": 0.02, "jitter_s": 0.06},
    ]


async def main(given: argparse.Namespace) -> dict[str, Any]:
    """Run on a stack of its own, and draw."""
    wishes = Wishes(slots=given.slots, rules=tuple(OUTAGE_RULES.items()), with_api=False)
    async with payments_stage(wishes) as stage, aiohttp.ClientSession() as http:
        outage, states = await Minute(stage, http, given.rate).run()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(draw(outage))
    return {"states": states, "seconds": [each.told() for each in outage.seconds]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50, help="payments requested a second")
    parser.add_argument("--slots", type=int, default=32, help="calls to the provider at a time")
    parser.add_argument("--out", type=Path, default=Path("docs/images/outage.svg"))
    print(json.dumps(asyncio.run(main(parser.parse_args()))))
