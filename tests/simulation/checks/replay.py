"""P: the topic, posted again into fresh books in the order of the commits, gives the same books."""

import asyncio
from collections.abc import Iterator

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.post_events import Batch, PostEvents
from ledger.bootstrap.posting import rules_of
from ledger.domain.replaying import DecideAgain
from ledger.observability.signals import Signals
from tests.builders import HandClock
from tests.digests import memory_digest
from tests.simulation.checks.books import event_at
from tests.simulation.world import World

# Where a saga stands is not in the topic.
REBUILT = ("accounts", "balances", "holds", "entries", "transactions", "reversed", "processed")


def replay_gives_the_same(world: World) -> Iterator[str]:
    """Post everything again, and compare each table."""
    again = MemoryBooks()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_post_again(world, again))
    finally:
        loop.close()
    contents = world.server.books.contents
    for tenant in sorted(contents.tenants):
        was, now = memory_digest(contents, tenant), memory_digest(again.contents, tenant)
        for table in REBUILT:
            if was[table] != now[table]:
                keys = [
                    key for key in {**was[table], **now[table]} if was[table].get(key) != now[table].get(key)
                ]
                yield f"P {table} of {tenant} come out otherwise: {keys[:3]}"


async def _post_again(world: World, again: MemoryBooks) -> None:
    contents = world.server.books.contents
    judge, clock = DecideAgain(), HandClock()
    judge.precedents = contents.processed
    post = PostEvents(again, clock, rules_of(world.settings), Signals(), judge=judge)
    for earlier in contents.processed.values():
        clock.time = earlier.posted_at
        await post(Batch([event_at(world, earlier.partition, earlier.offset)]))
