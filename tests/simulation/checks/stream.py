"""O, L and T from the logs as they are: each record became something once, and was told as the books have it."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from loadtests.chaos.checker.events import Event, read_record
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
    repeats = _repeats(world)
    for key, earlier in contents.processed.items():
        due = {(f"event.{earlier.kind}.v1", str(earlier.reason or "")), *repeats[key]}
        heard = {(outcome["type"], outcome["data"].get("reason", "")) for outcome in told[key]}
        if missed := due - heard:
            yield f"O nobody was told of {sorted(missed)} for event {key}, only of {sorted(heard)}"
        if more := heard - due:
            yield f"O {sorted(more)} was told of event {key}, which came to {sorted(due)}"
        yield from _one_mind(world, key, told[key])
    for key in told.keys() - contents.processed.keys():
        yield f"T an outcome was told of event {key}, which is not of this tenant"
    yield from _entries_told(world)


def _repeats(world: World) -> defaultdict[tuple[str, str], set[tuple[str, str]]]:
    """Say what has to be told of records with an id that another record has used."""
    processed = world.server.books.contents.processed
    events = {
        (partition, record.offset): event
        for partition, record in _records(world, world.settings.payments_topic)
        if isinstance(event := read_record(record.value, record.key), Event)
    }
    repeats: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for place, event in events.items():
        key = (event.tenant, event.id)
        earlier = processed.get(key)
        if earlier is None or (earlier.partition, earlier.offset) == place:
            continue
        first = events[earlier.partition or 0, earlier.offset or 0]
        repeats[key].add(
            ("event.duplicate.v1", str(earlier.reason or ""))
            if first.content == event.content
            else ("event.rejected.v1", "event_id_reused")
        )
    return repeats


def _one_mind(world: World, key: tuple[str, str], outcomes: list[Any]) -> Iterator[str]:
    posted = [outcome["data"] for outcome in outcomes if outcome["type"] == "event.posted.v1"]
    transaction = world.server.books.contents.transactions.get(key)
    entries = [] if transaction is None else [_told_of(entry) for entry in transaction.entries]
    for data in posted:
        if [_read(entry) for entry in data.get("entries", ())] != entries:
            yield f"O event {key} was told with other entries than were posted"


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
