"""Whether what was published is what the books say: the topics of entries and of outcomes, each read once."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from sys import intern
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from loadtests.bench.stage import Stage
from loadtests.expected import Account, ExpectedBooks, Totals

READ_MAX = 3_000_000
"""More records in both topics are counted, but not read: that would take longer than what is measured."""

SHOWN_MAX = 5
AT_ONCE = 10_000
SOON_S = 0.1
"""So long a batch is waited for before it is taken as it is."""
SILENT_S = 10.0
SETTINGS = {
    "group.id": "loadtests",
    "enable.auto.commit": False,
    "enable.partition.eof": False,
    "auto.offset.reset": "earliest",
    "fetch.message.max.bytes": 4 * 1024**2,
    "queued.max.messages.kbytes": 32 * 1024,
    "log_level": 2,
}
_TOLD = "create temp table told (tenant text, event_id uuid)"
_UNTOLD = """
select count(*) from processed_events p join tenants t using (tenant_id)
where not exists (select from told where told.event_id = p.event_id and told.tenant = t.code)
"""
_UNKNOWN = """
select count(distinct (tenant, event_id)) from told
where not exists (select from processed_events p join tenants t using (tenant_id)
                  where p.event_id = told.event_id and t.code = told.tenant)
"""


class SilentTopicError(RuntimeError):
    """Records that were written cannot be read."""


class _Line(msgspec.Struct):
    account: str
    asset: str
    amount: int
    version: int
    posted_debits: int
    posted_credits: int


class _Entry(msgspec.Struct):
    tenant: str
    data: _Line


class _Subject(msgspec.Struct):
    event_id: str


class _Outcome(msgspec.Struct):
    tenant: str
    data: _Subject


_entry = msgspec.json.Decoder(_Entry)
_outcome = msgspec.json.Decoder(_Outcome)


class Lines:
    """The entries of all accounts as they were published: of each account six numbers, and what has a hole beside it.

    Entries of one account may come again, and in any order. Each must follow from the one before it.
    """

    def __init__(self) -> None:
        self._runs: dict[Account, _Run] = {}
        self._apart: dict[Account, dict[int, _Step]] = {}
        self.count = 0
        self.wrong: list[str] = []

    def take(self, value: bytes) -> None:
        """Take in one record."""
        entry = _entry.decode(value)
        line = entry.data
        account = (intern(entry.tenant), line.account, intern(line.asset))
        step = _Step(line.amount, line.posted_debits, line.posted_credits)
        run = self._runs.get(account)
        if run is None:
            run = self._runs[account] = _Run(line.version, *step.opening, line.version - 1, *step.opening)
        if run.first <= line.version <= run.last:
            return
        if line.version == run.last + 1 or line.version == run.first - 1:
            self._join(account, run, line.version, step)
        else:
            self._apart.setdefault(account, {})[line.version] = step

    def faults(self, expected: ExpectedBooks) -> Iterator[str]:
        """Say what is wrong with all that was taken in."""
        yield from self.wrong
        for account, apart in self._apart.items():
            run = self._runs[account]
            hole = f"has versions {run.first} to {run.last}, and {min(apart)} with a hole between"
            yield f"entries topic: {_named(account)} {hole}"
        if self.count != (wanted := expected.published_entries):
            yield f"entries topic has {self.count:,} different entries, expected {wanted:,}"
        known = 0
        for account, totals in expected.balances():
            known += account in self._runs
            yield from self._differences(account, totals, whole=not expected.standing.entries)
        if unknown := len(self._runs) - known:
            yield f"entries topic has {unknown:,} accounts that are not expected"

    def _differences(self, account: Account, totals: Totals, *, whole: bool) -> Iterator[str]:
        run = self._runs.get(account)
        wanted = (totals.version, totals.debits, totals.credits)
        found = (run.last, run.debits, run.credits) if run else (0, 0, 0) if whole else wanted
        if found != wanted:
            yield f"entries topic: {_named(account)} ends at {found}, expected {wanted} (version, debits, credits)"
        if run and (
            (whole and run.first > 1) or (run.first == 1 and (run.begun_debits or run.begun_credits))
        ):
            begun = (run.first, run.begun_debits, run.begun_credits)
            yield f"entries topic: {_named(account)} begins with {begun}, expected (1, 0, 0) (version, debits, credits)"

    def _join(self, account: Account, run: "_Run", version: int, step: "_Step") -> None:
        """Add a version at an end of the run, and those that wait for it."""
        self._add(account, run, version, step)
        if not (apart := self._apart.get(account)):
            return
        while (step_ := apart.pop(run.last + 1, None)) is not None:
            self._add(account, run, run.last + 1, step_)
        while (step_ := apart.pop(run.first - 1, None)) is not None:
            self._add(account, run, run.first - 1, step_)
        if not apart:
            del self._apart[account]

    def _add(self, account: Account, run: "_Run", version: int, step: "_Step") -> None:
        self.count += 1
        if version > run.last:
            follows = step.opening == (run.debits, run.credits)
            run.last, run.debits, run.credits = version, step.debits, step.credits
        else:
            follows = (step.debits, step.credits) == (run.begun_debits, run.begun_credits)
            run.first, (run.begun_debits, run.begun_credits) = version, step.opening
        if not follows:
            self.wrong.append(
                f"entries topic: {_named(account)} version {version} does not fit its neighbour"
            )


class _Step(NamedTuple):
    """One entry: its amount, and the sums after it."""

    amount: int
    debits: int
    credits: int

    @property
    def opening(self) -> tuple[int, int]:
        """The sums before it."""
        return self.debits + min(self.amount, 0), self.credits - max(self.amount, 0)


@dataclass(slots=True)
class _Run:
    """Versions without a hole, with the sums before the first and after the last."""

    first: int
    begun_debits: int
    begun_credits: int
    last: int
    debits: int
    credits: int


async def check_published(stage: Stage, connection: Any, expected: ExpectedBooks) -> list[str]:
    """Say how the topics of entries and outcomes differ from what is expected; too long ones are passed by."""
    if await unread(stage):
        return []
    return [*await _entries(stage, expected), *await _outcomes(stage, connection, expected)]


async def unread(stage: Stage, read_max: int = READ_MAX) -> list[str]:
    """Say of topics that are too long to be read that they were only counted."""
    written = await stage.ends([stage.settings.entries_topic, stage.settings.outcomes_topic])
    if sum(written.values()) <= read_max:
        return []
    return [f"Topics of more than {read_max:,} records were counted only, and not read by the check."]


async def _entries(stage: Stage, expected: ExpectedBooks) -> list[str]:
    return await asyncio.to_thread(_entry_faults, stage, expected)


def _entry_faults(stage: Stage, expected: ExpectedBooks) -> list[str]:
    lines = Lines()
    for some in _read(stage, stage.settings.entries_topic):
        for value in some:
            lines.take(value)
    return _first(lines.faults(expected))


async def _outcomes(stage: Stage, connection: Any, expected: ExpectedBooks) -> list[str]:
    """Each id of the books has an outcome, but those that stood before; and each outcome is of an id of the books."""
    await connection.execute("drop table if exists pg_temp.told")
    await connection.execute(_TOLD)
    batches = _read(stage, stage.settings.outcomes_topic)
    while some := await asyncio.to_thread(next, batches, None):
        told = [_outcome.decode(value) for value in some]
        rows = [(each.tenant, each.data.event_id) for each in told]
        await connection.copy_records_to_table("told", records=rows)
    await connection.execute("analyze told")
    untold = await connection.fetchval(_UNTOLD) - expected.standing.ids
    unknown = await connection.fetchval(_UNKNOWN)
    return [
        *([f"outcomes topic lacks {untold:,} ids of the books"] if untold else []),
        *([f"outcomes topic has {unknown:,} ids that are not in the books"] if unknown else []),
    ]


def _read(stage: Stage, topic: str) -> Iterator[list[bytes]]:
    """Read a topic from its beginning to its end of now, some at a time; raises SilentTopicError."""
    consumer = Consumer({**SETTINGS, "bootstrap.servers": stage.servers.kafka})
    try:
        for number in range(stage.wishes.partitions):
            yield from _read_partition(consumer, TopicPartition(topic, number, 0))
    finally:
        consumer.close()


def _read_partition(consumer: Consumer, place: TopicPartition) -> Iterator[list[bytes]]:
    end = consumer.get_watermark_offsets(place, timeout=SILENT_S)[1]
    consumer.assign([place])
    at, heard = 0, monotonic()
    while at < end:
        messages = consumer.consume(min(AT_ONCE, end - at), timeout=SOON_S)
        if not messages:
            if monotonic() - heard > SILENT_S:
                raise SilentTopicError(f"{place.topic} {place.partition}: {at:,} of {end:,} records came")
            continue
        heard = monotonic()
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
        yield [message.value() or b"" for message in messages]
        at = (messages[-1].offset() or 0) + 1


def _first(faults: Iterator[str]) -> list[str]:
    shown = list(islice(faults, SHOWN_MAX))
    more = sum(1 for _ in faults)
    return [*shown, *([f"entries topic: {more:,} more"] if more else [])]


def _named(account: Account) -> str:
    tenant, code, asset = account
    return f"{tenant}/{code} {asset}"
