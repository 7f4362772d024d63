"""Plain transfers beside a provider that hangs entirely: their rate with it and without, in pairs on one stack.

`python -m loadtests.payments_hanging [--pairs 3] [--transfers 60000] [--payments 5000]`. Prints JSON; exit 1 if
less than 80 % of the rate is kept.
"""

import argparse
import asyncio
import json
import sys
from random import Random
from statistics import median
from time import monotonic
from typing import Any

from ledger.adapters.system import new_event_id
from ledger.contract.outgoing import HEADERS, record_key
from loadtests.payments_load import PaymentLoad
from loadtests.payments_stage import Stage, Wishes, payments_stage, tell
from streams.embedded.programs import DEVELOPMENT_TENANT as TENANT
from streams.transport.publisher import Outgoing

KEPT_MIN = 0.8
CUSTOMERS = 500
ACCOUNTS = 10_000
LOOK_S = 0.05
WAIT_S = 240.0
ALL = ["charge", "refund", "status"]

_HANDLED = "select coalesce(sum(next_offset), 0)::bigint from stream_offsets"
_OPEN = "select count(*) from payments where due_at is not null"
_ACCEPTED = "select count(*) from payments"


class Uniform:
    """Transfers between accounts that no payment touches, each as likely as any other."""

    def __init__(self, topic: str, seed: int = 1) -> None:
        self._topic = topic
        self._random = Random(seed)

    def make(self, count: int) -> list[Outgoing]:
        """Make events; their ids hold the time of now."""
        return [self._transfer(*self._random.sample(range(ACCOUNTS), 2)) for _ in range(count)]

    def _transfer(self, debit: int, credit: int) -> Outgoing:
        accounts = f'"debit":"external:{debit}","credit":"external:{credit}"'
        value = (
            f'{{"specversion":"1.0","id":"{new_event_id()}","source":"loadtests","type":"transfer.post.v1",'
            f'"tenant":"{TENANT}","data":{{{accounts},"amount":{1 + debit % 100},"asset":"USD/2"}}}}'
        )
        key = record_key(TENANT, f"external:{debit}")
        return Outgoing(self._topic, key, value.encode(), HEADERS)


class Pairs:
    """Measures the same transfers beside nothing, and beside payments whose provider hangs."""

    def __init__(self, stage: Stage, transfers: int, payments: int) -> None:
        self._stage = stage
        self._transfers = transfers
        self._payments = payments
        topic = stage.settings.payments_topic
        self._uniform = Uniform(topic)
        self._load = PaymentLoad(topic, seed=1, customers=CUSTOMERS)

    async def run(self, pairs: int) -> dict[str, Any]:
        """Measure pairs, after a round that does not count."""
        await self._stage.fund(self._load.funding())
        await self._rate()
        found = [await self._pair() for _ in range(pairs)]
        kept = [round(beside / alone, 3) for alone, beside in found]
        return {
            "ok": median(kept) >= KEPT_MIN,
            "kept": median(kept),
            "pairs": [
                {"alone_s": round(alone), "beside_s": round(beside), "kept": share}
                for (alone, beside), share in zip(found, kept, strict=True)
            ],
            "payments_waiting": self._payments,
        }

    async def _pair(self) -> tuple[float, float]:
        alone = await self._rate()
        await self._stage.follow([{"do": "hang", "on": ALL}], webhooks=False)
        accepted = await self._stage.value(_ACCEPTED)
        await self._stage.publisher.publish(self._load.make(self._payments))
        await self._until(_ACCEPTED, accepted + self._payments)
        beside = await self._rate()
        tell(f"alone {alone:.0f}/s, beside {await self._stage.value(_OPEN):,} payments {beside:.0f}/s")
        await self._stage.follow([], webhooks=False)
        await self._until_none_open()
        return alone, beside

    async def _rate(self) -> float:
        """Give transfers posted a second, from the first that is sent to the last that is posted."""
        records = self._uniform.make(self._transfers)
        before, started = await self._stage.value(_HANDLED), monotonic()
        for index in range(0, len(records), 5000):
            await self._stage.publisher.publish(records[index : index + 5000])
        await self._until(_HANDLED, before + len(records))
        return len(records) / (monotonic() - started)

    async def _until(self, query: str, count: int) -> None:
        deadline = monotonic() + WAIT_S
        while await self._stage.value(query) < count:
            if monotonic() > deadline:
                raise TimeoutError(f"{query}: {await self._stage.value(query)} of {count}")
            await asyncio.sleep(LOOK_S)

    async def _until_none_open(self) -> None:
        deadline = monotonic() + WAIT_S
        while left := await self._stage.value(_OPEN):
            if monotonic() > deadline:
                raise TimeoutError(f"{left} payments do not end")
            await asyncio.sleep(LOOK_S)


async def main(given: argparse.Namespace) -> dict[str, Any]:
    """Run on a stack of its own, which is removed afterwards."""
    async with payments_stage(Wishes(slots=given.slots, with_api=False)) as stage:
        return await Pairs(stage, given.transfers, given.payments).run(given.pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--transfers", type=int, default=60_000)
    parser.add_argument("--payments", type=int, default=5000, help="payments that wait for the provider")
    parser.add_argument("--slots", type=int, default=64, help="calls to the provider at a time")
    measured = asyncio.run(main(parser.parse_args()))
    print(json.dumps(measured, indent=2))
    sys.exit(not measured["ok"])
