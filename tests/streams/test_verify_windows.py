"""The check of windows: over what real shelves write it holds, and whatever is changed in that it finds."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from zlib import crc32

import msgspec
import pytest

from ledger.application.verify_windows import BookedBalance, Flow, VerifyWindows
from ledger.application.window_changelog import BalanceName
from ledger.contract.dead_letter import Record
from ledger.domain.aging import Retention
from ledger.domain.audit import Check
from ledger.domain.window import Window, WindowSize, merged
from ledger.domain.window_audit import Minutes, Span
from streams.windows.entries import Seen
from streams.windows.keys import EDITION_KEY, life_key, read_key
from streams.windows.shelf import Shelf
from tests.application.histories import Entry, history, windows_of

HOUR, DAY = 3600, 86_400
RETENTION = Retention(HOUR, 3 * DAY, 90 * DAY)
PARTITIONS = 2
PAUSES_S = [0, 1, 20, 61, 600, 5000, 90_000]

Values = dict[bytes, bytes]


def partition_of(key: bytes, partitions: int) -> int:
    return crc32(key) % partitions


class FakeTopic:
    """A topic with records in its partitions."""

    def __init__(self, topic: str, records: Mapping[int, Sequence[tuple[bytes, bytes | None]]]) -> None:
        self.topic = topic
        self.records = records

    async def bounds(self) -> dict[int, tuple[int, int]]:
        return {partition: (0, len(records)) for partition, records in self.records.items()}

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        for offset in range(first, end):
            key, value = self.records[partition][offset]
            yield [Record(self.topic, partition, offset, key, value, (), None)]


class FakeGroup:
    def __init__(self, committed: Mapping[int, int]) -> None:
        self.offsets = committed

    async def committed(self, topic: str) -> Mapping[int, int]:
        return self.offsets


class FakeSnapshot:
    """Books in memory: the entries of each balance."""

    def __init__(self, histories: Mapping[BalanceName, Sequence[Entry]]) -> None:
        self._histories = list(histories.items())

    async def positions(self, topic: str) -> Mapping[int, int]:
        return {0: 10}

    async def balances(self) -> Sequence[BookedBalance]:
        return [
            BookedBalance(1, number, name, len(entries))
            for number, (name, entries) in enumerate(self._histories)
        ]

    async def minutes(self, balances: Sequence[BookedBalance]) -> Sequence[Minutes]:
        return [
            [(each.start, each.window) for each in windows_of(self._entries(balance), WindowSize.MINUTE)]
            for balance in balances
        ]

    async def part(self, balance: BookedBalance, span: Span) -> Window:
        found = merged(each.window for each in self._entries(balance)[span.first - 1 : span.last])
        assert found is not None
        return found

    def _entries(self, balance: BookedBalance) -> Sequence[Entry]:
        return self._histories[balance.balance_id][1]


class Scene:
    """Balances, and the changelog that shelves have written of them."""

    def __init__(self, seed: int, *, began: int = 0) -> None:
        chance = Random(seed)
        names = [BalanceName("acme", f"user:{number}", "USD/2") for number in range(6)]
        self.histories: dict[BalanceName, Sequence[Entry]] = {name: random_history(chance) for name in names}
        self.later: dict[BalanceName, Sequence[Entry]] = {}
        self.posted: Mapping[int, int] = {0: 10}
        self.committed: Mapping[int, int] = {0: 1}
        self.changelog: dict[int, list[tuple[bytes, bytes | None]]] = {
            partition: self._write(chance, partition, began) for partition in range(PARTITIONS)
        }

    def _write(self, chance: Random, partition: int, began: int) -> list[tuple[bytes, bytes | None]]:
        values: Values = {EDITION_KEY: b"1"}
        written: list[tuple[bytes, bytes | None]] = [(EDITION_KEY, b"1")]
        shelf = Shelf(values.get, RETENTION)
        mine = {name: entries for name, entries in self.histories.items() if self.place(name) == partition}
        seen = sorted(
            (
                (entry.at_us, life_key(*name), entry.window)
                for name, entries in mine.items()
                for entry in entries[began:]
            ),
            key=lambda each: each[0],
        )
        while seen:
            count = chance.randint(1, 6)
            shelf.take([Seen(key, window) for _, key, window in seen[:count]])
            seen = seen[count:]
            shelf.age()
            changes = shelf.take_off()
            values.update(changes.values)
            for key in changes.gone:
                values.pop(key, None)
            shelf.landed()
            written += [*changes.values.items(), *((key, None) for key in changes.gone)]
        return written

    @staticmethod
    def place(name: BalanceName) -> int:
        return partition_of(f"{name.tenant}/{name.account}".encode(), PARTITIONS)

    def change(self, key: bytes, value: bytes | None) -> None:
        """Write one more record into the changelog."""
        account = key.partition(b" ")[0]
        self.changelog[partition_of(account, PARTITIONS)].append((key, value))

    def last_values(self) -> Values:
        values: Values = {}
        for records in self.changelog.values():
            for key, value in records:
                values.pop(key, None)
                if value is not None:
                    values[key] = value
        del values[EDITION_KEY]
        return values

    async def verify(self) -> Check:
        moments: list[dict[BalanceName, Sequence[Entry]]] = [
            {**self.histories},
            {**self.histories, **self.later},
        ]

        @asynccontextmanager
        async def snapshot() -> AsyncIterator[FakeSnapshot]:
            yield FakeSnapshot(moments.pop(0) if len(moments) > 1 else moments[0])

        flow = Flow(
            FakeTopic("payments", {0: []}),
            FakeTopic("entries", {0: [(b"", b"")]}),
            FakeTopic("windows", self.changelog),
            FakeGroup(self.posted),
            FakeGroup(self.committed),
        )
        return await VerifyWindows(snapshot, flow, RETENTION, partition_of, stalled_s=0.3, again_s=0)()


def random_history(chance: Random) -> list[Entry]:
    return history(
        (chance.choice(PAUSES_S), chance.choice([-3, -1, 1, 4])) for _ in range(chance.randint(5, 40))
    )


@pytest.mark.parametrize("seed", range(12))
async def test_what_shelves_write_is_what_the_books_have(seed: int) -> None:
    check = await Scene(seed).verify()
    assert check.violations == []
    assert check.checked > 20


async def test_a_stream_that_began_late_is_right_from_there_on() -> None:
    for seed in range(6):
        assert (await Scene(seed, began=3).verify()).violations == []


async def test_entries_that_come_meanwhile_need_not_be_in_it() -> None:
    scene = Scene(1)
    for name, entries in scene.histories.items():
        scene.later[name] = [*entries, *_after(entries, len(entries) % 5)]
    assert (await scene.verify()).violations == []


def _after(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Make more entries of a balance, from the same minute on."""
    window, made = entries[-1].window, list[Entry]()
    at_us = entries[-1].at_us
    for number in range(1, count + 1):
        credit = window.closing_credits + number
        balance = credit - window.closing_debits
        made.append(
            Entry(
                at_us + number * 7_000_000,
                Window(
                    "credit",
                    window.last_version + number,
                    window.closing_debits,
                    credit - 1,
                    window.last_version + number,
                    window.closing_debits,
                    credit,
                    balance,
                    balance,
                    at_us + number * 7_000_000,
                ),
            )
        )
    return made


async def test_windows_ahead_of_the_first_look_are_compared_as_far_as_they_go() -> None:
    scene = Scene(2)
    name, entries = next(iter(scene.histories.items()))
    scene.later[name] = entries
    scene.histories[name] = entries[:-4]
    assert (await scene.verify()).violations == []


FIELDS = [name for name in Window.__struct_fields__ if name != "normal_side"]


@pytest.mark.parametrize("field", FIELDS)
async def test_a_changed_field_of_any_window_is_found(field: str) -> None:
    for key in list(Scene(3).last_values()):
        scene = Scene(3)
        kind = read_key(key)
        if kind is not None and not _is_due(scene, key):
            continue
        values = msgspec.msgpack.decode(scene.last_values()[key])
        index = Window.__struct_fields__.index(field)
        values[index] += 1
        scene.change(key, msgspec.msgpack.encode(values))
        assert not (await scene.verify()).ok, (key, field)


def _is_due(scene: Scene, key: bytes) -> bool:
    """Whether a window is of a time of which the stream must still have windows of that size to compare."""
    found = read_key(key)
    assert found is not None
    newest_us = max(
        entries[-1].at_us
        for name, entries in scene.histories.items()
        if scene.place(name) == scene.place(BalanceName(*_names(key)))
    )
    return found.start >= RETENTION.standing(newest_us).since(found.size)


def _names(key: bytes) -> tuple[str, str, str]:
    account, asset = key.decode().split(" ")[:2]
    tenant, _, code = account.partition("/")
    return tenant, code, asset


Change = Callable[[Scene, bytes, bytes], None]


def _lose(scene: Scene, key: bytes, value: bytes) -> None:
    scene.change(key, None)


def _move(scene: Scene, key: bytes, value: bytes) -> None:
    scene.change(key, None)
    found = read_key(key)
    moved = b"%s 1m %d" % (found.name, found.start + 60) if found else key.replace(b"user", b"loser")
    scene.change(moved, value)


def _garble(scene: Scene, key: bytes, value: bytes) -> None:
    scene.change(key, value[:-1])


def _misplace(scene: Scene, key: bytes, value: bytes) -> None:
    scene.change(key, None)
    wrong = 1 - partition_of(key.partition(b" ")[0], PARTITIONS)
    scene.changelog[wrong].append((key, value))


@pytest.mark.parametrize("change", [_lose, _move, _garble, _misplace], ids=lambda each: each.__name__)
async def test_what_is_lost_moved_or_garbled_is_found(change: Change) -> None:
    newest = {
        key: value
        for key, value in Scene(4).last_values().items()
        if read_key(key) is None or (read_key(key).size == WindowSize.MINUTE and _is_due(Scene(4), key))  # type: ignore[union-attr]
    }
    assert len(newest) > 6
    for key, value in newest.items():
        scene = Scene(4)
        change(scene, key, value)
        assert not (await scene.verify()).ok, key


async def test_an_entry_that_never_came_is_found() -> None:
    scene = Scene(5)
    name, entries = next(iter(scene.histories.items()))
    scene.histories[name] = [*entries, *_after(entries, 1)]
    assert "the stream has not seen all entries" in {
        each["what"] for each in (await scene.verify()).violations
    }


async def test_windows_that_do_not_get_on_are_told_with_their_lag() -> None:
    scene = Scene(6)
    scene.committed = {1: 7}
    assert (await scene.verify()).violations == [{"what": "the windows are behind the entries", "lag": 1}]


async def test_what_was_posted_and_not_published_is_told() -> None:
    scene = Scene(6)
    scene.posted = {0: 8}
    assert (await scene.verify()).violations == [{"what": "what was posted is not published yet", "lag": 2}]


async def test_a_ledger_without_windows_workers_has_nothing_to_check() -> None:
    scene = Scene(7)
    scene.committed, scene.changelog = {}, {}
    assert await scene.verify() == Check("windows", 0, [])


async def test_windows_that_nobody_keeps_are_not_taken_for_right() -> None:
    scene = Scene(7)
    scene.committed = {}
    assert [each["what"] for each in (await scene.verify()).violations] == [
        "the windows are behind the entries"
    ]


async def test_a_changelog_that_is_gone_is_found() -> None:
    scene = Scene(8)
    scene.changelog = {}
    assert not (await scene.verify()).ok


def test_the_hours_of_a_scene_have_aged() -> None:
    sizes = {found.size for key in Scene(3).last_values() if (found := read_key(key)) is not None}
    assert sizes == set(WindowSize)
