"""Gaps found from three positions, and left behind, over doubles in memory."""

from collections.abc import Mapping

import pytest

from ledger.adapters.memory.books import Contents
from ledger.adapters.memory.gaps import MemoryPositions
from ledger.application.gaps import (
    Acceptance,
    GapHeldError,
    Gaps,
    GroupBusyError,
    NoGapError,
    Stand,
    gaps_of,
)
from tests.builders import NOW, HandClock


class FakeLog:
    topic = "payments"

    def __init__(self, begin: int, end: int) -> None:
        self._bounds = {0: (begin, end)}

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        return self._bounds


class FakeGroup:
    def __init__(self, committed: int | None, members: int = 0) -> None:
        self.at = {} if committed is None else {0: committed}
        self._members = members

    async def committed(self, topic: str) -> Mapping[int, int]:
        return self.at

    async def members(self) -> int:
        return self._members

    async def move(self, topic: str, offsets: Mapping[int, int]) -> None:
        self.at = self.at | dict(offsets)


class Office:
    """The use case where the books stand at `books`, over a log from `begin` to before 100."""

    def __init__(self, books: int, begin: int, committed: int | None, members: int = 0) -> None:
        self.contents = Contents(positions={("payments", 0): books})
        self.positions = MemoryPositions(self.contents)
        self.group = FakeGroup(committed, members)
        self.gaps = Gaps(self.positions, FakeLog(begin, 100), self.group, HandClock())


@pytest.mark.parametrize(
    ("books", "begin", "committed", "found"),
    [
        pytest.param(40, 0, 40, [], id="level"),
        pytest.param(40, 0, 30, [], id="books ahead, as they always may be"),
        pytest.param(40, 0, None, [], id="new group"),
        pytest.param(None, 20, None, [], id="new books begin where the log begins"),
        pytest.param(None, 20, 50, [(20, 50, "rewind")], id="new books, old group"),
        pytest.param(40, 0, 60, [(40, 60, "rewind")], id="books older than the group"),
        pytest.param(40, 50, 40, [(40, 50, "accept")], id="expired"),
        pytest.param(40, 50, 50, [(40, 50, "accept")], id="expired, and the group is past it"),
        pytest.param(40, 50, 60, [(40, 50, "accept"), (50, 60, "rewind")], id="both"),
        pytest.param(40, 0, 300, [(40, 100, "rewind")], id="group beyond the log"),
        pytest.param(200, 0, 300, [], id="books beyond the log, which is no gap"),
    ],
)
def test_gaps_are_found(
    books: int | None, begin: int, committed: int | None, found: list[tuple[int, int, str]]
) -> None:
    stand = Stand(
        "payments",
        {} if books is None else {0: books},
        {0: (begin, 100)},
        {} if committed is None else {0: committed},
    )
    assert [(gap.first, gap.next, gap.remedy) for gap in gaps_of(stand)] == found


async def test_loss_is_accepted_and_written_down() -> None:
    office = Office(books=40, begin=50, committed=60)
    gap = await office.gaps.accept("payments", 0, "retention", "ann")
    assert office.contents.positions == {("payments", 0): 50}
    assert office.positions.accepted == [(gap, Acceptance("retention", "ann", NOW))]


@pytest.mark.parametrize(("books", "fault"), [(40, GapHeldError), (60, NoGapError)])
async def test_nothing_that_the_log_holds_is_given_up(books: int, fault: type[Exception]) -> None:
    office = Office(books=books, begin=0, committed=60)
    with pytest.raises(fault):
        await office.gaps.accept("payments", 0, "retention", "ann")
    assert (office.contents.positions, office.positions.accepted) == ({("payments", 0): books}, [])


async def test_group_goes_back_no_further_than_the_log() -> None:
    office = Office(books=40, begin=50, committed=60)
    assert [gap.first for gap in await office.gaps.rewind()] == [50]
    assert office.group.at == {0: 50}


async def test_group_with_members_is_left_where_it_is() -> None:
    office = Office(books=40, begin=0, committed=60, members=1)
    with pytest.raises(GroupBusyError):
        await office.gaps.rewind()
    assert office.group.at == {0: 60}
