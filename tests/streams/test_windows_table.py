"""Recovery of the table: a chunk of the changelog that does not join is put back, and sought again."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from ledger.observability.signals import Signals
from streams.transport.app import chunked_app
from streams.transport.chunk import Chunk
from streams.windows.table import WindowTable
from tests.streams.window_simulation import SETTINGS

CHANGELOG = TP("ledger.windows", 0)


class Consumer:
    """Notes where it is sought to."""

    def __init__(self) -> None:
        self.sought: list[dict[TP, int]] = []

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        self.sought.append(offsets)

    async def earliest_offsets(self, *places: TP) -> dict[TP, int]:
        return dict.fromkeys(places, 0)


async def nothing(partitions: set[int]) -> None:
    """What would open or close a book."""


class Scene:
    """A table in a recovery that nothing feeds but the test."""

    def __init__(self, held: set[TP]) -> None:
        app = chunked_app("windows-test", SETTINGS, Signals(), [], changelogs=[CHANGELOG.topic])
        store = SimpleNamespace(persisted_offset=lambda tp: None)
        self.table = WindowTable(app, CHANGELOG.topic, lambda app, table: store, nothing, nothing)
        self.consumer = Consumer()
        app.consumer = cast(Any, self.consumer)
        self.recovery = cast(Any, app.tables).recovery
        self.recovery.active_tps |= held

    async def bring(self, start: int, end: int) -> bool:
        """Do with a chunk what Faust does; says whether it is kept to be applied."""
        chunk = Chunk(CHANGELOG.topic, CHANGELOG.partition, [], start, end, 0)
        event: Any = SimpleNamespace(message=SimpleNamespace(value=chunk, tp=CHANGELOG))
        self.recovery.active_offsets[CHANGELOG] = end - 1
        self.recovery.buffers[self.table].append(event)
        await self.table.on_changelog_event(event)
        return event in self.recovery.buffers[self.table]


async def test_chunks_that_join_are_applied() -> None:
    scene = Scene({CHANGELOG})
    assert [await scene.bring(0, 5), await scene.bring(5, 9), await scene.bring(4, 9)] == [True] * 3
    assert scene.consumer.sought == []


@pytest.mark.parametrize("first", [3, 9])
async def test_a_chunk_after_a_gap_is_put_back_and_the_gap_sought(first: int) -> None:
    scene = Scene({CHANGELOG})
    if first == 9:
        assert await scene.bring(0, 5)
    expected = 5 if first == 9 else 0
    assert not await scene.bring(first, first + 4)
    assert scene.consumer.sought == [{CHANGELOG: expected}]
    assert scene.recovery.active_offsets[CHANGELOG] == expected - 1
    assert await scene.bring(expected, first)


async def test_chunks_of_partitions_that_went_away_are_dropped() -> None:
    scene = Scene(set())
    assert not await scene.bring(0, 5)
    assert scene.consumer.sought == []
