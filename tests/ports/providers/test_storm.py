"""Every fault at once, and kills: whoever asks for what is unknown ends with the provider's own book."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

from ledger.adapters.provider.http import HttpProvider, open_provider
from ledger.adapters.system import SystemClock
from ledger.application.breaker import BreakerRules
from ledger.application.providers import Accepted, Declined, StatusAnswer, kind_of
from ledger.observability.signals import Signals
from tests.provider import Simulator, charge

PAYMENTS = 250
FAULTS: list[dict[str, Any]] = [
    {"do": "decline", "share": 0.1},
    *(
        {"do": do, "booked": booked, "times": 2, "share": 0.05}
        for do in ("error", "reset", "hang", "malformed", "redirect")
        for booked in (True, False)
    ),
    {"do": "throttle", "retry_after_s": 0, "times": 2, "share": 0.05},
    {"do": "pend", "pend_s": 0.3, "share": 0.05},
    {"do": "hang", "booked": True, "late_s": 0.5, "times": 2, "share": 0.05},
    {"do": "reset", "on": ["status"], "times": 1, "share": 0.1},
    {"do": "malformed", "on": ["status"], "times": 1, "share": 0.1},
    {"do": "unavailable", "retry_after_s": 0, "on": ["status"], "times": 1, "share": 0.1},
]


async def settled(provider: HttpProvider, key: str) -> Accepted | Declined:
    """Charge under one key until it is known what became of it."""
    while True:
        answer: StatusAnswer = await provider.charge(charge(key))
        while kind_of(answer) in ("unknown", "pending"):
            answer = await provider.status(charge(key))
        if isinstance(answer, Accepted | Declined):
            return answer
        await asyncio.sleep(0.02)


async def test_all_ends_as_the_book_has_it(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "book.db").start()
    rules = simulator.rules(
        total_timeout_s=0.5, slots=32, slot_wait_s=10.0, breaker=BreakerRules(calls_min=50, open_s=0.05)
    )
    await simulator.follow(*FAULTS, seed=3)
    try:
        async with open_provider(rules, SystemClock(), time.monotonic, Signals()) as provider:
            keys = [f"k{number}" for number in range(PAYMENTS)]
            asked = [asyncio.create_task(settled(provider, key)) for key in keys]
            for _ in range(2):
                await asyncio.sleep(0.5)
                simulator.stop(signal.SIGKILL)
                simulator.start()
            answers = dict(zip(keys, await asyncio.gather(*asked), strict=True))
        lines = {line["key"]: line for line in await simulator.lines("acme")}
    finally:
        simulator.stop()
    assert {key: line["state"] for key, line in lines.items()} == {
        key: kind_of(answer) for key, answer in answers.items()
    }
    assert all(
        answer.reference == lines[key]["named"]
        for key, answer in answers.items()
        if isinstance(answer, Accepted)
    )
    assert {"accepted", "declined"} == {kind_of(answer) for answer in answers.values()}
