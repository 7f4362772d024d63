"""O, L and T from the logs as they are: each record became something once, and the books say what was told."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.simulation.drawing import POISON
from tests.simulation.kafka import Record
from tests.simulation.world import World


def every_record_is_accounted_for(world: World) -> Iterator[str]:
    """L: what the broker has of payments is in the books: an event that was processed, or a dead letter."""
    contents, topic = world.server.books.contents, world.settings.payments_topic
    written = 0
    seen: set[tuple[str, str]] = set()
    for partition, record in _records(world, topic):
        written += 1
        is_poison = record.value in POISON
        is_letter = (topic, partition, record.offset) in contents.dead_letters
        if is_poison != is_letter:
            yield f"L {partition}/{record.offset} is {'poison' if is_poison else 'an event'}, dead letter: {is_letter}"
        elif not is_poison:
            key = _key(record)
            seen.add(key)
            if key not in contents.processed:
                yield f"L less: event {key} at {partition}/{record.offset} is lost"
    for key in contents.processed.keys() - seen:
        yield f"L more: the books have event {key}, which nobody wrote"
    if written < len(world.plan.sent):
        yield f"L less: {len(world.plan.sent)} were sent, and the topic has {written}"
    letters = {
        (dict(record.headers)["ledger-partition"], dict(record.headers)["ledger-offset"])
        for _, record in _records(world, world.settings.dead_letters_topic)
    }
    for _, partition, offset in sorted(contents.dead_letters):
        if (str(partition).encode(), str(offset).encode()) not in letters:
            yield f"L less: nobody was told of the dead letter {partition}/{offset}"


def outcomes_tell_the_books(world: World) -> Iterator[str]:
    """O and T: each event has outcomes, all of one mind; each entry was told, as it stands, under its own tenant."""
    contents = world.server.books.contents
    told: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for _, record in _records(world, world.settings.outcomes_topic):
        outcome = json.loads(record.value or b"")
        told[outcome["tenant"], outcome["data"]["event_id"]].append(outcome)
    for key, earlier in contents.processed.items():
        kinds = {outcome["type"] for outcome in told[key]}
        if f"event.{earlier.kind}.v1" not in kinds:
            yield f"O nobody was told that event {key} was {earlier.kind}, only {sorted(kinds)}"
        yield from _one_mind(world, key, told[key])
    for key in told.keys() - contents.processed.keys():
        yield f"T an outcome was told of event {key}, which is not of this tenant"
    yield from _entries_told(world)


def _one_mind(world: World, key: tuple[str, str], outcomes: list[Any]) -> Iterator[str]:
    posted = [outcome["data"] for outcome in outcomes if outcome["type"] == "event.posted.v1"]
    transaction = world.server.books.contents.transactions.get(key)
    entries = [] if transaction is None else [_told_of(entry) for entry in transaction.entries]
    for data in posted:
        if [_read(entry) for entry in data.get("entries", ())] != entries:
            yield f"O event {key} was told with other entries than were posted"
    if posted and world.server.books.contents.processed[key].kind != "posted":
        yield f"O event {key} was told as posted, and is not"


def _entries_told(world: World) -> Iterator[str]:
    books = {
        (tenant, entry.account, entry.asset, entry.version): (_told_of(entry), transaction.id)
        for (tenant, _), transaction in world.server.books.contents.transactions.items()
        for entry in transaction.entries
    }
    told = set()
    for _, record in _records(world, world.settings.entries_topic):
        entry = json.loads(record.value or b"")
        data = entry["data"]
        key = (entry["tenant"], data["account"], data["asset"], data["version"])
        told.add(key)
        if books.get(key) != (_read(data), data["transaction"]):
            yield f"O the entry {key} was told otherwise than it stands"
        if record.key != f"{entry['tenant']}/{data['account']}".encode():
            yield f"T the entry {key} went out under {record.key!r}"
    for key in sorted(books.keys() - told):
        yield f"L less: the entry {key} was never told"


def _told_of(entry: Any) -> tuple[Any, ...]:
    return (
        entry.account,
        entry.asset,
        entry.amount,
        entry.version,
        entry.balance,
        entry.posted_debits,
        entry.posted_credits,
    )


def _read(data: Any) -> tuple[Any, ...]:
    names = ("account", "asset", "amount", "version", "balance", "posted_debits", "posted_credits")
    return tuple(data[name] for name in names)


def _key(record: Record) -> tuple[str, str]:
    event = json.loads(record.value or b"")
    return event["tenant"], event["id"]


def _records(world: World, topic: str) -> Iterator[tuple[int, Record]]:
    for place, log in world.broker.logs.items():
        if place.topic == topic:
            for record in log.records:
                yield place.partition, record
