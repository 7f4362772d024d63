"""W: each window of the stream is what its entries come to, worked out anew from the books' own rows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ledger.domain.moments import microseconds
from ledger.domain.window import WindowSize
from streams.transport.partitioning import Partitioner
from streams.windows.book import WindowBook
from tests.simulation.checks.rest import windows_held
from tests.simulation.world import World

EVER = 2**40
Key = tuple[str, str, str]
Facts = tuple[int, ...]


def windows_agree(world: World) -> Iterator[str]:
    """Compare what the workers hold with what the entries come to."""
    if world.plan.windows == 0:
        return
    choose = Partitioner().chooser("entries", world.plan.partitions)
    books = windows_held(world)
    for key, entries in _entries(world).items():
        tenant, account, _ = key
        partition = choose(f"{tenant}/{account}".encode())
        book = books.get(partition)
        if book is None:
            yield f"W nobody holds partition {partition}"
            continue
        yield from _compare(book, partition, key, entries)


def _entries(world: World) -> dict[Key, list[Any]]:
    found: defaultdict[Key, list[Any]] = defaultdict(list)
    for (tenant, _), transaction in world.server.books.contents.transactions.items():
        for entry in transaction.entries:
            found[tenant, entry.account, entry.asset].append((entry, microseconds(transaction.posted_at)))
    return {key: sorted(each, key=lambda pair: pair[0].version) for key, each in sorted(found.items())}


def _compare(book: WindowBook, partition: int, key: Key, entries: Sequence[Any]) -> Iterator[str]:
    life = book.life(partition, *key)
    if life is None:
        yield f"W the stream knows nothing of {key}"
        return
    if life.holes:
        yield f"W the life of {key} misses {life.holes}"
    if _facts_of(life) != _facts(entries):
        yield f"W the life of {key} is {_facts_of(life)}, its entries come to {_facts(entries)}"
    for size in (WindowSize.MINUTE, WindowSize.HOUR):
        since = book.kept_from(partition, size)
        expected = {start: facts for start, facts in _windows(entries, size).items() if start >= since}
        found = {
            start: _facts_of(window) for start, window in book.windows(partition, *key, size, 0, EVER, 10_000)
        }
        if found != expected:
            yield f"W windows {size.value} of {key} are {found}, their entries come to {expected}"


def _windows(entries: Sequence[Any], size: WindowSize) -> dict[int, Facts]:
    parted: defaultdict[int, list[Any]] = defaultdict(list)
    for entry, at_us in entries:
        seconds = at_us // 1_000_000
        parted[seconds - seconds % size.seconds].append((entry, at_us))
    return {start: _facts(each) for start, each in parted.items()}


def _facts(entries: Sequence[Any]) -> Facts:
    first, last = entries[0][0], entries[-1][0]
    balances = [entry.balance for entry, _ in entries]
    return (
        first.version,
        first.posted_debits + min(0, first.amount),
        first.posted_credits - max(0, first.amount),
        last.version,
        last.posted_debits,
        last.posted_credits,
        min(balances),
        max(balances),
        entries[-1][1],
    )


def _facts_of(window: Any) -> Facts:
    return (
        window.first_version,
        window.opening_debits,
        window.opening_credits,
        window.last_version,
        window.closing_debits,
        window.closing_credits,
        window.low,
        window.high,
        window.last_posted_at_us,
    )
