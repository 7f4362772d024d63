"""Finds what a replay is to read: the lanes that a wish means, and where they end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from ledger.application.dead_letters import (
    DeadLetters,
    LetterHandledError,
    NoSuchLetterError,
    Place,
    pages_of,
    places_of,
    read_letters,
)
from ledger.application.record_source import RecordSource
from ledger.config import Settings
from ledger.domain.moments import milliseconds
from streams.embedded.addresses import find_kafka
from streams.replay.faults import NotReplayableError
from streams.replay.read import ArchiveLane, FileLane, Lane, LettersLane, TopicLane, archived, stretches
from streams.replay.wish import PUBLISHING, Source, Stretch, Wish

LETTERS_MAX = 1_000_000


async def source_of(
    wish: Wish, settings: Settings, positions: Mapping[int, int], letters: DeadLetters | None
) -> tuple[Source, Sequence[Lane]]:
    """Find the lanes of a wish; of the topic no more than the books have, which stand at `positions`."""
    if wish.source == "file":
        return _file(wish)
    if wish.source == "dead-letters" and letters is not None:
        places = await _open_places(wish, letters)
        lane = LettersLane(letters, places)
        return Source("dead-letters", {0: (0, lane.end)}, filters=wish.filters), [lane]
    async with _records(wish, settings) as records:
        found = await stretches_of(wish, settings, positions, records)
    source = Source(
        wish.source,
        found,
        settings.payments_topic,
        filters=wish.filters,
        # An archive may end before the books do.
        whole=wish.is_whole and all(found.get(at, (0, 0))[1] >= end for at, end in positions.items()),
        since_books=wish.since_books,
        outcomes=wish.outcomes,
        archive=wish.archive,
    )
    return source, lanes_of(source, settings)


async def _open_places(wish: Wish, letters: DeadLetters) -> Sequence[Place]:
    """Find the letters of a wish; what was dropped or requeued is nobody's to replay."""
    try:
        for page in pages_of(wish.places):
            await read_letters(letters, page)
    except (NoSuchLetterError, LetterHandledError) as error:
        raise NotReplayableError(str(error)) from error
    return wish.places or await places_of(letters, wish.letters, LETTERS_MAX)


async def beginnings(wish: Wish, settings: Settings) -> Mapping[int, int]:
    """Say, by partition, before which offset nobody can read anything any more; nothing where an archive may."""
    if wish.source not in PUBLISHING or (wish.source == "topic" and wish.archive):
        return {}
    async with _records(wish, settings) as records:
        return {at: low for at, (low, _) in (await records.bounds()).items()}


@asynccontextmanager
async def _records(wish: Wish, settings: Settings) -> AsyncIterator[RecordSource]:
    if wish.source == "archive":
        yield archived(wish.archive or "", settings.payments_topic)
        return
    async with KafkaStream.open(find_kafka(settings), settings.payments_topic) as stream:
        yield stream


def _file(wish: Wish) -> tuple[Source, Sequence[Lane]]:
    lane = FileLane.of(Path(wish.file or ""))
    source = Source(
        "file", {0: (0, lane.end)}, file=str(lane.path), filters=wish.filters, outcomes=wish.outcomes
    )
    return source, [lane]


def lanes_of(source: Source, settings: Settings) -> Sequence[Lane]:
    """Give the lanes of a source that was written down; raises NotReplayableError."""
    if source.kind == "file" and source.file is not None:
        return [FileLane(Path(source.file), source.lanes[0][1])]
    if source.kind == "archive" and source.archive is not None and source.topic is not None:
        url, topic = source.archive, source.topic
        return [ArchiveLane(url, topic, at, first, end) for at, (first, end) in source.lanes.items()]
    if source.kind == "topic" and source.topic is not None:
        kafka, topic = find_kafka(settings), source.topic
        return [TopicLane(kafka, topic, at, first, end) for at, (first, end) in source.lanes.items()]
    raise NotReplayableError(
        "A replay of dead letters is not gone on with: run it again, what was posted is recognised."
    )


def refuse_forgetful(source: Source) -> None:
    """Refuse to go on with what was taken because of what had been taken before: none of that is written down."""
    if source.filters.accounts:
        raise NotReplayableError(
            "A replay with --account is not gone on with, as what follows on the events of an account is taken with "
            "them: begin it anew with the same options, a rebuild under another name, and one of the topic or of "
            "the archive into live books with --anew. What was posted is recognised."
        )


async def stretches_of(
    wish: Wish, settings: Settings, positions: Mapping[int, int], records: RecordSource
) -> dict[int, Stretch]:
    """Cut what there is down to what a wish means, by partition; raises NotReplayableError."""
    bounds = await records.bounds()
    if not bounds:
        raise NotReplayableError(f"There is nothing of a topic {settings.payments_topic}.")
    _check_partitions(wish, bounds)
    if wish.since_books:
        return await _missed(settings, bounds, positions)
    if wish.target == "live" or (not wish.offsets and wish.outcomes == "books"):
        # Beyond them is what the workers have yet to post; books that were lost are no measure.
        bounds = {at: (low, min(end, max(low, positions.get(at, low)))) for at, (low, end) in bounds.items()}
    found = stretches(
        bounds,
        partitions=wish.partitions,
        given=wish.offsets,
        since=None if wish.since is None else await records.offsets_at(milliseconds(wish.since)),
        until=None if wish.until is None else await records.offsets_at(milliseconds(wish.until)),
    )
    if wish.target == "live":
        await _refuse_forgotten(records, found, settings)
    return found


def _check_partitions(wish: Wish, bounds: Mapping[int, Stretch]) -> None:
    missing = {*wish.partitions, *wish.offsets} - bounds.keys()
    if missing:
        raise NotReplayableError(f"The topic has no partition {min(missing)}: it has {len(bounds)}.")


async def _missed(
    settings: Settings, bounds: Mapping[int, Stretch], positions: Mapping[int, int]
) -> dict[int, Stretch]:
    """Find what the workers' group has passed by and the books have not; the group before the log, as it grows."""
    async with KafkaGroup.open(find_kafka(settings), settings.posting_group) as group:
        committed = await group.committed(settings.payments_topic)
    found = {}
    for at, (low, end) in bounds.items():
        first = positions.get(at, low)
        if first < low:
            raise NotReplayableError(
                f"{settings.payments_topic}/{at}: the log begins at {low} and the books end at {first}. "
                "An archive may have what lies between; `ledger gap accept` goes on without it."
            )
        found[at] = (first, max(first, min(committed.get(at, 0), end)))
    return found


async def _refuse_forgotten(records: RecordSource, found: Mapping[int, Stretch], settings: Settings) -> None:
    """Refuse records that are older than the ids that the books know: they would count as new, or as too old."""
    horizon = datetime.now(UTC) - timedelta(days=settings.dedupe_horizon_days)
    remembered = await records.offsets_at(milliseconds(horizon))
    for at, (first, end) in found.items():
        if first < min(end, remembered[at]):
            raise NotReplayableError(
                f"{records.topic}/{at}: offsets {first} to {min(end, remembered[at]) - 1} are older than the "
                f"{settings.dedupe_horizon_days} days for which ids are known, so live books cannot tell whether "
                f"they have posted them. --since {settings.dedupe_horizon_days}d leaves them out; "
                "--into NAME can replay them into books of their own."
            )
