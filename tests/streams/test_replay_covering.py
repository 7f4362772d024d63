"""A replay ends only those stopped ones of which it does all that they left."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.application.replaying import Reached, Replay
from streams.replay.covering import covers, left_since, own_since, to_go_on, told_of
from streams.replay.plan import Filters
from streams.replay.wish import Source, Wish
from tests.builders import NOW

LANES = {0: (10, 100), 1: (0, 50)}
REACHED = {0: Reached(60, NOW), 1: Reached(50, NOW)}


def topic(lanes: Any = LANES, **more: Any) -> Source:
    return Source("topic", lanes, "payments", **more)


def of(**named: list[str]) -> Filters:
    return Filters(**named)


@pytest.mark.parametrize(
    ("new", "old", "covered"),
    [
        (topic(), topic(), True),
        (Source("archive", LANES, "payments"), topic(), True),
        (topic({0: (60, 100)}), topic(), True),
        (topic({0: (61, 100)}), topic(), False),
        (topic({0: (60, 99)}), topic(), False),
        (topic({0: (5, 8)}), topic(), False),
        (topic({1: (0, 50)}), topic(), False),
        (topic(filters=of(ids=["x"])), topic(), False),
        (topic(filters=of(ids=["x", "y"])), topic(filters=of(ids=["y", "x"])), True),
        (topic(), topic(filters=of(tenants=["acme"])), True),
        (topic(filters=of(accounts=["a"])), topic(filters=of(accounts=["a"])), True),
        (topic({0: (60, 100)}, filters=of(accounts=["a"])), topic(filters=of(accounts=["a"])), False),
        (topic(), topic(since_books=True), False),
        (topic(since_books=True), topic(), False),
        (topic(since_books=True), topic(since_books=True), True),
        (Source("file", {0: (0, 100)}, file="a"), topic(), False),
        (Source("file", {0: (0, 9)}, file="a"), Source("file", {0: (0, 9)}, file="a"), True),
        (Source("file", {0: (0, 9)}, file="a"), Source("file", {0: (0, 9)}, file="b"), False),
        (Source("dead-letters", {0: (0, 1)}), Source("dead-letters", {0: (0, 9)}), True),
        (Source("dead-letters", LANES), topic(), False),
    ],
)
def test_one_that_was_stopped_is_covered_by_what_reads_all_that_it_left(
    new: Source, old: Source, covered: bool
) -> None:
    reached = REACHED if old.kind == "topic" else {}
    assert covers(new, old, reached, {}) is covered


def test_what_nobody_can_read_any_more_is_left_to_nobody() -> None:
    new = topic({0: (70, 100), 1: (30, 60)})
    assert not covers(new, topic(), {}, {0: 69, 1: 30})
    assert covers(new, topic(), {}, {0: 70, 1: 30})
    assert covers(new, topic(), {}, {0: 100, 1: 80})


def test_what_was_posted_before_a_kill_is_known_though_clocks_are_apart() -> None:
    hour, replay = timedelta(hours=1), Replay("x", "live", {}, "tests", "", NOW)
    later = Replay("y", "live", {}, "tests", "", NOW + hour)
    assert own_since(topic(), replay, resumed=False) == NOW
    assert own_since(topic(), replay, resumed=True) == NOW - hour
    assert left_since([later, replay]) == NOW - hour
    assert left_since([]) is None
    assert own_since(topic(own_since=NOW - hour), later, resumed=True) == NOW - hour
    assert own_since(Source("file", {}), replay, resumed=True) is None


def stopped(name: str, source: Source) -> Replay:
    return Replay(name, "live", msgspec.to_builtins(source, str_keys=True), "ann", "a reason", NOW)


UNFINISHED = [
    stopped("account", topic(filters=of(accounts=["ann"]))),
    stopped("letters", Source("dead-letters", {0: (0, 1)})),
    stopped("file", Source("file", {0: (0, 3)}, file=str(Path("a.jsonl").absolute()))),
    stopped("of x", topic(filters=of(ids=["x"]))),
    stopped("archive", Source("archive", LANES, "payments", outcomes="archive")),
    stopped("topic", topic()),
    stopped("lost", topic(since_books=True)),
]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "of x"),
        ({"since_books": True}, "lost"),
        ({"source": "archive"}, "archive"),
        ({"outcomes": "archive"}, "archive"),
        ({"source": "file", "file": "a.jsonl"}, "file"),
        ({"source": "file", "file": "b.jsonl"}, None),
        ({"filters": of(ids=["x"])}, "of x"),
        ({"filters": of(ids=["y"])}, None),
        ({"source": "archive", "filters": of(ids=["x"])}, None),
    ],
)
def test_what_is_named_of_a_stopped_replay_must_be_as_it_was(asked: Any, found: str | None) -> None:
    going_on = to_go_on(Wish(target="live", resume=True, **asked), UNFINISHED)
    assert (going_on and going_on.id) == found


def test_one_of_a_file_or_of_letters_is_gone_on_with_where_there_is_no_other() -> None:
    wish = Wish(target="live", resume=True)
    found = [to_go_on(wish, UNFINISHED[:count]) for count in (0, 2, 3)]
    assert [each and each.id for each in found] == [None, "account", "file"]


def test_it_is_told_which_replay_is_gone_on_with() -> None:
    said = [told_of(each) for each in (UNFINISHED[3], UNFINISHED[6])]
    began = f"that ann began at {NOW:%Y-%m-%dT%H:%M:%SZ}: a reason"
    assert said == [
        f"the replay of the topic, only x (140 records) {began}",
        f"the replay of what the books had lost (140 records) {began}",
    ]
