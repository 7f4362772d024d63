"""Payments through every death: `python -m tests.end_to_end.chaos_payments [--lanes 4]` (make chaos-payments).

Each named crash point, each time one payment comes to it, for each behaviour of the provider at charges and at
refunds, on real servers. Prints JSON; exit 1 if a payment is stuck, or money is anywhere else than it should be.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from ledger.config import Settings
from loadtests.arguments import count, positive
from streams.embedded.stack import EmbeddedStack
from tests.end_to_end.crash_matrix import BEHAVIOURS, Cell, Lane, cells, judge, lane, rules
from tests.end_to_end.forking import Nursery
from tests.provider import Simulator


async def work(own: Lane, left: list[Cell], stuck: dict[str, str], until: float) -> None:
    """Take cells until none or no time is left."""
    while left and monotonic() < until:
        cell = left.pop()
        try:
            deaths = await own.live(cell)
        except AssertionError as fault:
            stuck[str(cell)] = str(fault)
            deaths = -1
            sys.stderr.write(f"{fault}\n")
        sys.stderr.write(f"{len(left):4} left, {cell}: {deaths} deaths\n")


async def main(given: argparse.Namespace) -> dict[str, Any]:
    """Run all of it on servers of its own."""
    chosen = [
        each for each in cells(given.workers) if not given.behaviour or each.behaviour in given.behaviour
    ]
    Random(given.seed).shuffle(chosen)
    cells_in_all = len(chosen)
    started, stuck = monotonic(), dict[str, str]()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-deaths-")))
        none = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
        servers = await stack.enter_async_context(EmbeddedStack(directory / "state", settings=none))
        nursery = stack.enter_context(closing(Nursery(directory)))
        simulator = Simulator(directory / "book.db").start()
        stack.callback(simulator.stop)
        await simulator.follow(*rules())
        addresses = (servers.kafka, servers.postgres_dsn)
        lanes = [
            await stack.enter_async_context(
                lane(addresses, f"lane{number}", directory / f"lane{number}", simulator, nursery)
            )
            for number in range(given.lanes)
        ]
        await asyncio.gather(*(work(each, chosen, stuck, started + given.seconds) for each in lanes))
        faults = [fault for each in lanes for fault in await judge(each, simulator)]
        deaths = sum((each.lived.deaths for each in lanes), Counter[str]())
        return {
            "ok": not faults and not stuck and cells_in_all > len(chosen),
            "cells": cells_in_all - len(chosen),
            "payments": sum(len(each.lived.wanted) for each in lanes),
            "deaths": deaths.total(),
            "deaths_by_place": dict(sorted(deaths.items())),
            "twice": (await simulator.book())["twice"],
            "stuck": stuck,
            "faults": faults,
            "seconds": round(monotonic() - started),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=count, default=4, help="ledgers at a time")
    parser.add_argument("--seconds", type=positive, default=1e9, help="then it takes no more, and counts")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--workers", nargs="+", choices=["paying", "posting"], default=["paying", "posting"])
    parser.add_argument("--behaviour", nargs="+", choices=BEHAVIOURS, help="only these")
    found = asyncio.run(main(parser.parse_args()))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    sys.exit(not found["ok"])
