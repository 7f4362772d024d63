"""Reads what was decided of the records that a replay has yet to read, from outcomes in their topic or archive."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

from ledger.adapters.kafka.stream import KafkaStream, RecordsExpiredError
from ledger.application.archive_ports import NotArchivedError
from ledger.application.record_source import RecordSource
from ledger.application.replaying import Reached
from ledger.config import Settings
from ledger.domain.moments import milliseconds, moment_of
from streams.embedded.addresses import find_kafka
from streams.replay.faults import NotReplayableError
from streams.replay.outcomes import OutcomeIndex
from streams.replay.read import Lane, archived
from streams.replay.wish import Source

CLOCKS_APART = timedelta(hours=1)
"""Payments have the broker's time and outcomes the worker's, which may be behind."""


@asynccontextmanager
async def decided(
    source: Source, lanes: Sequence[Lane], state: Mapping[int, Reached], settings: Settings
) -> AsyncIterator[OutcomeIndex]:
    """Index outcomes from the time on at which the log took the first record that is left of some lanes.

    Raises NotReplayableError where some may have gone: what they decided would be decided anew, otherwise maybe.
    """
    begins = {lane.partition: lane.first for lane in lanes} | {at: each.next for at, each in state.items()}
    left = [(lane, begins[lane.partition]) for lane in lanes if begins[lane.partition] < lane.end]
    since = await _first_time(left) if left else datetime.now(UTC)
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(_outcome_records(source, settings))
        try:
            if left and since is not None:
                await refuse_gone(records, since, _kept_since(source, settings), _remedy(source))
            index = await stack.enter_async_context(OutcomeIndex.read(records, since))
        except (RecordsExpiredError, NotArchivedError) as error:
            raise NotReplayableError(f"{error}. {_remedy(source)}") from error
        yield index


async def _first_time(left: Sequence[tuple[Lane, int]]) -> datetime | None:
    """Tell from when on outcomes are of what lanes hold from an offset on; None where no record has a time."""
    times = []
    for lane, begin in left:
        async with aclosing(lane.read(begin)) as runs:
            first = await anext(runs, ())
        times += [each.timestamp_ms for each in first[:1] if each.timestamp_ms is not None]
    return moment_of(min(times) * 1000) - CLOCKS_APART if times else None


@asynccontextmanager
async def _outcome_records(source: Source, settings: Settings) -> AsyncIterator[RecordSource]:
    if source.outcomes == "archive":
        yield archived(source.archive or "", settings.outcomes_topic)
        return
    async with KafkaStream.open(find_kafka(settings), settings.outcomes_topic, whole=True) as stream:
        yield stream


def _kept_since(source: Source, settings: Settings) -> datetime | None:
    """Say since when no outcome can have expired; None where that is not known."""
    days = settings.derived_retention_days
    return datetime.now(UTC) - timedelta(days=days) if days and source.outcomes != "archive" else None


async def refuse_gone(
    records: RecordSource, since: datetime, kept_since: datetime | None, remedy: str
) -> None:
    """Refuse outcomes of which some written after `since` may have gone; raises NotReplayableError."""
    if kept_since is not None and kept_since <= since:
        return  # a log may begin late that nothing was written to for long
    found = await records.offsets_at(milliseconds(since))
    for partition, (low, _) in (await records.bounds()).items():
        if 0 < low >= found.get(partition, low):
            raise NotReplayableError(
                f"{records.topic}/{partition} begins at {low} by now, with nothing from before "
                f"{since:%Y-%m-%dT%H:%M:%SZ}: what was decided of the first of these events may have gone. {remedy}"
            )


def _remedy(source: Source) -> str:
    if source.since_books:
        return "`ledger gap rewind` lets the workers post them as new; then they may come out otherwise."
    return "--since leaves them out; --outcomes books goes by the live books, as far as they know."
