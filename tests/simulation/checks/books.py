"""Z and B from the raw tables."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ledger.adapters.memory.books import Contents
from ledger.contract.decode import decode_event
from ledger.domain.commands import Event
from tests.simulation.world import World


def entries_sum_to_zero(world: World) -> Iterator[str]:
    """Z: each transaction sums to zero for each asset, and so does each tenant."""
    by_tenant: defaultdict[tuple[str, str], int] = defaultdict(int)
    for (tenant, event_id), transaction in world.server.books.contents.transactions.items():
        sums: defaultdict[str, int] = defaultdict(int)
        for entry in transaction.entries:
            sums[entry.asset] += entry.amount
            by_tenant[tenant, entry.asset] += entry.amount
        for asset, total in sums.items():
            if total:
                yield f"Z transaction {event_id} of {tenant} sums to {total} {asset}"
    for (tenant, asset), total in by_tenant.items():
        if total:
            yield f"Z {tenant} sums to {total} {asset}"


def balances_agree(world: World) -> Iterator[str]:
    """B: a balance is the sum of its entries and its last entry; versions have no gaps; nothing is overdrawn."""
    contents = world.server.books.contents
    entries: defaultdict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for (tenant, _), transaction in contents.transactions.items():
        for entry in transaction.entries:
            entries[tenant, entry.account, entry.asset].append((entry, transaction.posted_at))
    for key in sorted(entries.keys() - contents.balances.keys()):
        yield f"B {key} has entries and no balance"
    for key, balance in sorted(contents.balances.items()):
        of = sorted(entries[key], key=lambda each: each[0].version)
        yield from _entries_run_on(key, of)
        total = sum(entry.amount for entry, _ in of)
        if balance.posted_credits - balance.posted_debits != total or balance.version != len(of):
            yield f"B {key} stands at {balance.posted_credits - balance.posted_debits}, its entries at {total}"
        yield from _holds_agree(contents, key)


def _entries_run_on(key: tuple[str, str, str], entries: list[Any]) -> Iterator[str]:
    debits = credits_ = 0
    last = None
    for number, (entry, posted_at) in enumerate(entries, start=1):
        debits -= min(0, entry.amount)
        credits_ += max(0, entry.amount)
        if (entry.version, entry.posted_debits, entry.posted_credits) != (number, debits, credits_):
            yield f"B {key} version {entry.version} is not number {number} of its entries"
        if last is not None and posted_at < last:
            yield f"B {key} version {entry.version} was posted before the one before it"
        last = posted_at


def _holds_agree(contents: Contents, key: tuple[str, str, str]) -> Iterator[str]:
    tenant, code, _ = key
    holds = [
        hold
        for (of, _), hold in contents.holds.items()
        if (of, hold.debit, hold.asset) == key and hold.state == "open"
    ]
    balance, account = contents.balances[key], contents.accounts[tenant, code]
    held = sum(hold.left for hold in holds)
    if balance.held != held:
        yield f"B {key} holds {balance.held}, its holds {held}"
    net = balance.posted_credits - balance.posted_debits
    available = (net if account.normal_side == "credit" else -net) - held
    if account.overdraft is not None and available < -account.overdraft:
        yield f"B {key} is overdrawn: {available} with an overdraft of {account.overdraft}"
    for hold in holds:
        if hold.amount != hold.left + hold.captured + hold.released:
            yield f"B hold {hold.id} has lost some of its amount"


def event_at(world: World, partition: int | None, offset: int | None) -> Event:
    """Read the event that was decided from the log."""
    topic = world.settings.payments_topic
    log = next(log for place, log in world.broker.logs.items() if place == (topic, partition))
    record = next(each for each in log.records if each.offset == offset)
    return decode_event(record.value or b"", topic=topic, partition=partition, offset=offset, key=record.key)
