"""The posting workers' group set back, over doubles in memory."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta

import pytest

from ledger.adapters.memory.books import Contents
from ledger.adapters.memory.gaps import MemoryPositions
from ledger.application.gaps import GroupBusyError
from ledger.application.reset_positions import ForgottenError, NoPartitionError, ResetPositions, To
from ledger.contract.dead_letter import Record
from ledger.domain.moments import milliseconds
from tests.builders import NOW, HandClock, body, encoded, event_id

HORIZON = timedelta(days=90)
BEGINNING, HOUR = To(beginning=True), To(since=NOW - timedelta(hours=1))


class HourlyLog:
    """Partitions from `begin` to before 100; offset 60 came an hour ago, and one more each minute."""

    topic = "payments"

    def __init__(self, begin: int, partitions: int, forgotten: int) -> None:
        self._bounds = dict.fromkeys(range(partitions), (begin, 100))
        self._forgotten = forgotten
        self.records: list[Record] = []

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        return self._bounds

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        minutes = (time_ms - milliseconds(NOW - timedelta(hours=1))) // 60_000
        offset = max(self._forgotten, min(100, 60 + minutes))
        return dict.fromkeys(self._bounds, offset)

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        yield [each for each in self.records if each.partition == partition and first <= each.offset < end]


class Group:
    def __init__(self, at: dict[int, int], members: int) -> None:
        self.at = at
        self._members = members

    async def committed(self, topic: str) -> Mapping[int, int]:
        return self.at

    async def members(self) -> int:
        return self._members

    async def move(self, topic: str, offsets: Mapping[int, int]) -> None:
        self.at = self.at | dict(offsets)


class Office:
    """The use case over partitions whose books, and group, stand as given."""

    def __init__(
        self, books: Mapping[int, int], committed: Mapping[int, int], *, members: int = 0, forgotten: int = 0
    ) -> None:
        contents = Contents(positions={("payments", at): stand for at, stand in books.items()})
        self.group = Group(dict(committed), members)
        self.log = HourlyLog(10, max({0, *books, *committed}) + 1, forgotten)
        self.reset = ResetPositions(MemoryPositions(contents), self.log, self.group, HandClock(), HORIZON)


@pytest.mark.parametrize(
    ("books", "committed", "to", "after"),
    [
        pytest.param({0: 80}, {0: 90}, To(), {0: 80}, id="back to the books"),
        pytest.param({0: 80}, {0: 70}, To(), {0: 80}, id="on to the books"),
        pytest.param({0: 80}, {}, To(), {0: 80}, id="new group"),
        pytest.param({}, {0: 50}, To(), {0: 10}, id="new books"),
        pytest.param({0: 80}, {0: 80}, BEGINNING, {0: 10}, id="to the beginning"),
        pytest.param({0: 80}, {0: 80}, HOUR, {0: 60}, id="to a time"),
        pytest.param({0: 40}, {0: 80}, HOUR, {0: 40}, id="never past the books"),
        pytest.param({0: 300}, {0: 80}, To(), {0: 100}, id="never past the log"),
        pytest.param({0: 80, 1: 30}, {0: 90, 1: 40}, To(), {0: 80, 1: 30}, id="every partition"),
    ],
)
async def test_group_goes_where_it_should(
    books: dict[int, int], committed: dict[int, int], to: To, after: dict[int, int]
) -> None:
    office = Office(books, committed)
    planned = await office.reset.plan(to)
    assert office.group.at == committed
    assert await office.reset(to) == planned
    assert office.group.at == after
    assert await office.reset(to) == []


async def test_only_partitions_that_are_named_move() -> None:
    office = Office({0: 80, 1: 30}, {0: 90, 1: 40})
    moved = await office.reset(To(), [1])
    assert [(each.partition, each.before, each.after) for each in moved] == [(1, 40, 30)]
    assert office.group.at == {0: 90, 1: 30}
    with pytest.raises(NoPartitionError, match="no partition 2: it has 2"):
        await office.reset(To(), [2])


@pytest.mark.parametrize(("members", "told"), [(1, "1 member"), (2, "2 members")])
async def test_nothing_moves_while_workers_run(members: int, told: str) -> None:
    office = Office({0: 80}, {0: 90}, members=members)
    with pytest.raises(GroupBusyError, match=rf"{told}\."):
        await office.reset(BEGINNING)
    assert office.group.at == {0: 90}


async def test_what_the_books_have_forgotten_is_not_gone_over_again() -> None:
    office = Office({0: 80}, {0: 80}, forgotten=40)
    with pytest.raises(ForgottenError, match="before offset 40 is older than the 90 days"):
        await office.reset(BEGINNING)
    assert office.group.at == {0: 80}
    assert [each.after for each in await office.reset(HOUR)] == [60]


def record(offset: int, id_age: timedelta, age: timedelta, value: bytes | None = None) -> Record:
    """A record that came `age` ago, with an id of `id_age` ago."""
    text = value or encoded(body(name="old", id=event_id("old", NOW - id_age)))
    return Record("payments", 0, offset, b"acme/ann", text, timestamp_ms=milliseconds(NOW - age))


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("old", "is_refused"),
    [
        pytest.param(record(50, 91 * DAY, 20 * DAY), True, id="old id of late record"),
        pytest.param(record(50, 89 * DAY, 20 * DAY), False, id="id that is known yet"),
        pytest.param(record(50, 120 * DAY, 20 * DAY), False, id="id that was too old when it came"),
        pytest.param(record(85, 91 * DAY, 20 * DAY), False, id="id that the books have not come to"),
        pytest.param(record(50, DAY, DAY, b"no event"), False, id="no event"),
    ],
)
async def test_old_ids_of_young_records_are_not_gone_over_again(old: Record, is_refused: bool) -> None:
    office = Office({0: 80}, {0: 80})
    office.log.records = [record(49, DAY, DAY), old]
    if not is_refused:
        assert [each.after for each in await office.reset(BEGINNING)] == [10]
        return
    with pytest.raises(ForgottenError, match="offset 50 has an id older than the 90 days"):
        await office.reset(BEGINNING)
    assert office.group.at == {0: 80}
    assert [each.after for each in await office.reset(HOUR)] == [60]


async def test_what_the_books_never_saw_may_be_as_old_as_it_is() -> None:
    office = Office({0: 30}, {0: 80}, forgotten=40)
    assert [each.after for each in await office.reset(To())] == [30]
