"""The demonstration's payments: a provider that fails in every way, and what became of each payment."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.adapters.postgres import reads
from ledger.config import Settings
from ledger.domain.payments.saga import State
from streams.embedded.programs import PROVIDER, Program, payments_workers, provider
from streams.embedded.stack import EmbeddedStack, Preparation
from streams.simulated import give_simulated

LOOK_S = 0.1
RULES = {
    "answer_s": 2,
    "outcome_s": 5,
    "backoff_s": 0.1,
    "backoff_s_max": 1,
    "not_found_grace_s": 1,
    "unknown_s_max": 60,
}
"""Limits of payments that fit a run of less than a minute."""
KILL_AT = 1 / 3
"""With so many of the payments at an end, their worker is killed."""
CALL_S = 1.0
SLOTS = 64
WEBHOOK = {"within_s": 0.5}
SCRIPT: Sequence[dict[str, Any]] = (
    {"do": "decline", "on": ["charge"], "share": 0.04, "reason": "card_declined"},
    {"do": "accept", "share": 0.04, "delay_s": 0.2, "jitter_s": 0.6},
    {"do": "hang", "times": 1, "share": 0.02},
    {"do": "hang", "times": 1, "share": 0.02, "booked": True},
    {"do": "hang", "times": 1, "share": 0.02, "booked": True, "late_s": 0.3},
    {"do": "error", "times": 1, "share": 0.02, "code": 502},
    {"do": "error", "times": 1, "share": 0.02, "code": 500, "booked": True},
    {"do": "reset", "times": 1, "share": 0.02, "booked": True},
    {"do": "throttle", "times": 1, "share": 0.02, "retry_after_s": 1},
    {"do": "unavailable", "times": 1, "share": 0.02, "retry_after_s": 1},
    {"do": "malformed", "times": 1, "share": 0.02, "booked": True},
    {"do": "pend", "share": 0.02, "pend_s": 0.5, "webhooks": WEBHOOK},
    {"do": "accept", "share": 0.04, "webhooks": {"when": "before", "copies": 2}},
    {"do": "accept", "share": 0.04, "webhooks": {"when": "after", "copies": 3, **WEBHOOK}},
    {"do": "refuse", "on": ["refund"], "times": 2, "share": 0.5},
    {"do": "error", "on": ["status"], "times": 1, "share": 0.1},
)
"""Slow, hanging, 5xx, 429, declined, a timeout after success, twice, a webhook before the answer, no refunds …"""


@dataclass(slots=True)
class PaymentsReport:
    """What became of the payments, and what their provider did."""

    states: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    webhooks: dict[str, int] = field(default_factory=dict)
    ended_after_s: float = 0.0
    killed_at: int | None = None
    """How many payments were at an end when their worker was killed."""
    restarts: int = 0

    @property
    def fault(self) -> str | None:
        """Say what was not shown of a payments worker that is killed and started again."""
        if self.killed_at is None:
            return "no payments worker was killed"
        return None if self.restarts else "the payments worker that was killed was not started again"

    def as_dict(self) -> dict[str, Any]:
        """Give what `ledger demo --json` prints of payments."""
        return {
            "states": self.states,
            "provider": {"calls": self.calls, "webhooks": self.webhooks},
            "waited_s": round(self.ended_after_s, 1),
            "worker_killed_at": self.killed_at,
            "worker_restarts": self.restarts,
        }


class Paying:
    """The part of the demonstration's stack that pays, and what is asked of it."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self.report = PaymentsReport()

    @staticmethod
    def settings(settings: Settings) -> Settings:
        """Shorten the limits of payments, unless they are set."""
        return settings if settings.payment_rules else settings.model_copy(update={"payment_rules": RULES})

    @property
    def preparation(self) -> Preparation:
        """Let the tenant pay by the stack's provider."""
        return partial(give_simulated, tenant=self._tenant, total_timeout_s=CALL_S, slots=SLOTS)

    @property
    def programs(self) -> Sequence[Program]:
        return [*payments_workers(1), provider]

    async def begin(self, stack: EmbeddedStack, seed: int = 1) -> None:
        """Tell the provider how to fail."""
        script = {"seed": seed, "rules": SCRIPT}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{_url(stack)}/script", json=script, raise_for_status=True),
        ):
            return

    async def states(self, engine: AsyncEngine) -> Counter[str]:
        """Count payments by state."""
        async with engine.connect() as connection:
            return Counter(await reads.payment_counts(connection))

    async def until_ended(
        self, stack: EmbeddedStack, engine: AsyncEngine, stalled_s: float, note: Callable[[int, int], None]
    ) -> str | None:
        """Kill a worker on the way, and wait until every payment is at an end.

        Says what stays where it is if nothing moves any more.
        """
        began = moved = monotonic()
        before = await self.states(engine)
        while True:
            ended, total = _ended(before), before.total()
            note(ended, total)
            if self.report.killed_at is None and ended >= total * KILL_AT:
                self._kill(stack, ended)
            if ended == total:
                break
            if monotonic() - moved > stalled_s:
                return ", ".join(f"{state}: {count}" for state, count in before.items())
            await asyncio.sleep(LOOK_S)
            now = await self.states(engine)
            moved, before = (monotonic() if now != before else moved), now
        self.report.ended_after_s = monotonic() - began
        self.report.states = dict(before.most_common())
        return None

    def _kill(self, stack: EmbeddedStack, ended: int) -> None:
        for each in stack.processes():
            if each.name == "payments-1" and each.pid is not None:
                os.kill(each.pid, signal.SIGKILL)
                self.report.killed_at = ended

    async def look_back(self, stack: EmbeddedStack) -> None:
        """Note what the provider did."""
        async with aiohttp.ClientSession() as http, http.get(f"{_url(stack)}/book") as answer:
            found = await answer.json()
        self.report.calls = dict(Counter(found["calls"]).most_common())
        self.report.webhooks = dict(Counter(found["webhooks"]).most_common())


def _ended(states: Counter[str]) -> int:
    return sum(count for state, count in states.items() if State(state).is_end)


def _url(stack: EmbeddedStack) -> str:
    return stack.state.read().url(PROVIDER) or ""
