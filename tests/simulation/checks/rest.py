"""V: after the last fault all comes to rest in bounded time: every group at its topics' end, no saga open."""

from collections.abc import Iterator

from streams.windows.book import WindowBook
from tests.simulation.world import World


def restless(world: World) -> list[str]:
    """Say what is not at rest yet."""
    return [*_down(world), *_behind(world), *_books_behind(world), *_open_sagas(world), *_windows_away(world)]


def _down(world: World) -> Iterator[str]:
    for name in world.mains:
        running = world.running.get(name)
        if running is None or running.process.is_stopped:
            yield f"{name} does not run"


def _behind(world: World) -> Iterator[str]:
    settings = world.settings
    follows = {
        "post": (settings.posting_group, settings.payments_topic),
        "windows": (settings.windows_group, settings.entries_topic),
        "payments": (settings.payments_group, settings.outcomes_topic),
    }
    for kind in dict.fromkeys(name.partition("-")[0] for name in world.mains):
        if kind not in follows:
            continue
        group, topic = follows[kind]
        committed = world.broker.groups[group].committed if group in world.broker.groups else {}
        for place, log in world.broker.logs.items():
            if place.topic == topic and committed.get(place, 0) != log.end:
                yield f"{group} stands at {committed.get(place)} of {log.end} in {place.topic}/{place.partition}"


def _books_behind(world: World) -> Iterator[str]:
    topic = world.settings.payments_topic
    positions = world.server.books.contents.positions
    for place, log in world.broker.logs.items():
        if place.topic == topic and positions.get((topic, place.partition), 0) != log.end:
            yield f"the books stand at {positions.get((topic, place.partition))} of {log.end} in {place.partition}"


def _windows_away(world: World) -> Iterator[str]:
    if world.plan.windows:
        for partition, books in _answering(world).items():
            if not books:
                yield f"nobody answers for the windows of partition {partition}"
            elif len(books) > 1:
                # One has lost it and was not told yet: what it answers is as old as it says.
                yield f"{len(books)} workers answer for the windows of partition {partition}"


def windows_held(world: World) -> dict[int, WindowBook]:
    """Find who answers for the windows of each partition."""
    return {partition: books[0] for partition, books in _answering(world).items() if books}


def _answering(world: World) -> dict[int, list[WindowBook]]:
    alive = [book for running, book in world.books_of_windows.values() if not running.process.is_dead]
    return {
        partition: [book for book in alive if book.holds(partition)]
        for partition in range(world.plan.partitions)
    }


def _open_sagas(world: World) -> Iterator[str]:
    if world.plan.payments == 0:
        return
    for key, payment in world.server.books.contents.payments.items():
        if not payment.saga.state.is_end:
            yield f"payment {key[1]} is {payment.saga.state.value}"
