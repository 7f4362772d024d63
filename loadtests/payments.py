"""Payments at full load: a provider that fails in every way, workers killed with -9, then an independent count.

`python -m loadtests.payments [--payments 20000] [--faulty 0.2] [--kill-every 10] [--rate 0] [--json]`; exit 1 if
a payment is stuck, or money is anywhere else than both books say. All of it shares this machine.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from itertools import cycle
from statistics import quantiles
from time import monotonic, time
from typing import Any

from loadtests.cpu import CpuMeter
from loadtests.payments_load import PaymentLoad
from loadtests.payments_stage import Stage, Wishes, payments_stage, tell
from loadtests.payments_truth import judge

CUSTOMERS = 2000
TICK_S = 0.05
LOOK_S = 0.5
TOLD_EVERY = 4
STUCK_S = 90.0
REFUNDED_SHARE = 0.01

_STANDING = "select count(*) as known, count(*) filter (where due_at is null) as ended from payments"
_ENDS = """
select extract(epoch from p.created_at)::float8 as began, extract(epoch from min(s.at))::float8 as ended
from payments p join payment_steps s on (s.event_id, s.tenant_id, s.state) = (p.event_id, p.tenant_id, p.state)
where p.due_at is null group by p.event_id, p.tenant_id, p.created_at
"""
_SLOWEST = """
select s.event_id::text as payment, array_agg(round(extract(epoch from s.at - p.created_at), 2)
    || ' ' || s.state || ' ' || s.happening || ' ' || coalesce(s.detail, '') order by s.number) as timeline
from payments p join payment_steps s using (event_id, tenant_id)
group by 1 order by max(s.at - p.created_at) desc limit 3
"""


def faulty(share: float) -> list[dict[str, Any]]:
    """Give rules that treat this share of charges badly, in every way; refunds and questions as well."""
    ways: list[dict[str, Any]] = [
        {"do": "pend", "pend_s": 0.5},
        {"do": "error", "code": 502, "times": 1},
        {"do": "error", "code": 500, "times": 2, "booked": True},
        {"do": "reset", "times": 1, "booked": True},
        {"do": "hang", "times": 1},
        {"do": "hang", "times": 1, "booked": True},
        {"do": "hang", "times": 1, "booked": True, "late_s": 0.5},
        {"do": "throttle", "times": 1, "retry_after_s": 1},
        {"do": "unavailable", "times": 1, "retry_after_s": 1},
        {"do": "malformed", "times": 1, "booked": True},
        {"do": "accept", "delay_s": 0.3, "jitter_s": 1.2},
        {"do": "accept", "webhooks": {"when": "before", "copies": 2}},
        {"do": "hang", "booked": True, "times": 1, "webhooks": {"copies": 2, "within_s": 0.5}},
    ]
    each = share / (len(ways) + 1)
    return [
        {"do": "decline", "reason": "poor", "on": ["charge"], "share": each},
        {"do": "refuse", "on": ["refund"], "times": 3, "share": 0.3},
        {"do": "error", "on": ["status"], "times": 1, "share": share / 3},
        {"do": "hang", "on": ["status"], "times": 1, "share": share / 3},
        *({**way, "share": each} for way in ways),
    ]


class Run:
    """One run over one stack."""

    def __init__(self, stage: Stage, arguments: argparse.Namespace) -> None:
        self._stage = stage
        self._given = arguments
        topic = stage.settings.payments_topic
        self._load = PaymentLoad(
            topic, seed=arguments.seed, customers=CUSTOMERS, refunded_share=REFUNDED_SHARE
        )
        self._kills = 0

    async def run(self) -> dict[str, Any]:
        """Load, wait until all is at an end, and count."""
        await self._stage.follow(faulty(self._given.faulty), self._given.seed)
        await self._warm_up()
        meter = CpuMeter(self._stage.stack)
        started, beside = time(), [asyncio.create_task(self._kill()), asyncio.create_task(meter.run())]
        try:
            await asyncio.gather(self._send(), self._until_ended())
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        ends = await self._stage.sql(_ENDS)
        book = await self._stage.book()
        findings = await judge(self._stage, self._load.asked, CUSTOMERS)
        return {
            "ok": findings.ok,
            **paces(started, [row["ended"] for row in ends], len(self._load.asked)),
            "from_request_to_end": spread([row["ended"] - row["began"] for row in ends]),
            "kills": self._kills,
            "cpu_s": meter.told(),
            "slowest": {row["payment"]: row["timeline"] for row in await self._stage.sql(_SLOWEST)},
            "calls": book["calls"],
            "webhooks": book["webhooks"],
            "findings": findings.told(),
        }

    async def _warm_up(self) -> None:
        await self._stage.fund(self._load.funding())

    async def _send(self) -> None:
        """Send at the rate, or all at once."""
        count, rate, started = self._given.payments, self._given.rate, monotonic()
        each, sent = (max(1, round(rate * TICK_S)) if rate else 5000), 0
        while sent < count:
            chunk = min(each, count - sent)
            await self._stage.publisher.publish(self._load.make(chunk))
            sent += chunk
            if rate:
                await asyncio.sleep(max(0.0, started + sent / rate - monotonic()))

    async def _until_ended(self) -> None:
        """Wait until as many payments ended as will be asked for, or nothing ends any more."""
        before, moved, looks = 0, monotonic(), 0
        while monotonic() - moved < STUCK_S:
            (row,) = await self._stage.sql(_STANDING)
            looks += 1
            if looks % TOLD_EVERY == 0:
                tell(f"{row['known']:,} accepted, {row['ended']:,} at an end, {self._kills} kills")
            if row["ended"] >= self._given.payments:
                return
            if row["ended"] != before:
                before, moved = row["ended"], monotonic()
            await asyncio.sleep(LOOK_S)

    async def _kill(self) -> None:
        """Kill one payments worker after another; the stack starts it again."""
        if not self._given.kill_every:
            return
        for name in cycle(f"payments-{number}" for number in range(1, self._given.paying + 1)):
            await asyncio.sleep(self._given.kill_every)
            pids = [each.pid for each in self._stage.stack.processes() if each.name == name and each.pid]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                self._kills += 1


def paces(started: float, ends: Sequence[float], asked: int) -> dict[str, Any]:
    """Say how many payments a second ended, up to the last and up to shares of them."""
    ends = sorted(ends)
    found: dict[str, Any] = {"payments": asked, "ended": len(ends)}
    for percent in (50, 90, 95, 99, 100):
        count = asked * percent // 100
        if 0 < count <= len(ends):
            seconds = ends[count - 1] - started
            found[f"to_{percent}"] = {"seconds": round(seconds, 1), "payments_s": round(count / seconds)}
    return found


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Give p50, p95, p99 and the longest."""
    if len(seconds) < 2:
        return {}
    cuts = quantiles(seconds, n=100)
    return {name: round(cuts[at], 3) for name, at in (("p50_s", 49), ("p95_s", 94), ("p99_s", 98))} | {
        "max_s": round(max(seconds), 3)
    }


async def main(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run on a stack of its own, which is removed afterwards."""
    wishes = Wishes(
        posting=arguments.posting, paying=arguments.paying, slots=arguments.slots, keep=arguments.keep
    )
    async with payments_stage(wishes) as stage:
        return await Run(stage, arguments).run()


def show(found: dict[str, Any]) -> None:
    """Print a line for each thing that was measured."""
    for name, value in found.items():
        print(f"{name:20} {json.dumps(value) if isinstance(value, dict) else value}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=20_000)
    parser.add_argument("--faulty", type=float, default=0.2, help="the share of calls that fare badly")
    parser.add_argument("--rate", type=int, default=0, help="payments requested a second; 0: all at once")
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds; 0: never")
    parser.add_argument("--posting", type=int, default=1, help="posting workers")
    parser.add_argument("--paying", type=int, default=2, help="payments workers")
    parser.add_argument("--slots", type=int, default=192, help="calls to the provider at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the data and logs")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    given = _parser().parse_args()
    measured = asyncio.run(main(given))
    print(json.dumps(measured, indent=2)) if given.json else show(measured)
    sys.exit(not measured["ok"])
