"""When the watchdog ends the process, and when it does not."""

import errno
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from ledger.observability.signals import Signals
from streams.transport.exits import Exit
from streams.transport.health import PartitionState
from streams.transport.watchdog import Look, StallDetector, Watchdog

PLACE = TopicPartition("payments", 0)
LIMIT_S = 10.0


def look(
    now: float, frontier: int, end: int, *, polled_at: float | None = None, waits: Sequence[str] = ()
) -> Look:
    """One partition at one moment."""
    state = PartitionState(PLACE, frontier, frontier, end, 1, 0.0)
    return Look(now, [state], now if polled_at is None else polled_at, waits)


def reasons(*looks: Look) -> list[str]:
    """What a watchdog that looks every second says."""
    detector = StallDetector(LIMIT_S, 1.0)
    return [reason for reason in map(detector.look, looks) if reason is not None]


def test_a_frontier_that_stands_still_with_lag_ends_the_process() -> None:
    said = reasons(*(look(second, 5, 9) for second in range(20)))

    assert said[0] == "payments/0 stands at 5 with a lag of 4"


@pytest.mark.parametrize(
    "looks",
    [
        [look(second, 9, 9) for second in range(20)],
        [look(second, second // 8, 99) for second in range(40)],
        [look(second, 5, 9, waits=["postgres"]) for second in range(20)],
        [look(second, 5, 9) for second in (0, 1, 2, 60, 61, 62)],
        [look(second, 5, 5 if second < 19 else 9) for second in range(22)],
    ],
    ids=["no lag", "it moves", "it waits for postgres", "the process was stopped", "the lag is new"],
)
def test_a_frontier_with_a_reason_to_stand_still_ends_nothing(looks: list[Look]) -> None:
    assert reasons(*looks) == []


def test_waiting_gives_the_whole_time_again() -> None:
    looks = [look(second, 5, 9, waits=["postgres"] if second == 8 else []) for second in range(18)]

    assert reasons(*looks) == []
    assert reasons(*looks, look(18, 5, 9), look(19, 5, 9), look(20, 5, 9)) != []


def test_a_consumer_that_asks_for_nothing_ends_the_process() -> None:
    said = reasons(*(look(second, 9, 9, polled_at=0.0) for second in range(13)))

    assert said[0] == "nothing was asked of Kafka for 11 s"


def test_a_process_that_gets_no_more_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    ended, heard = list[int](), list[dict[str, Any]]()
    signals = Signals(lambda name, told: heard.append({name: told["reason"]}))
    app: Any = SimpleNamespace(flow=SimpleNamespace(signals=signals))
    monkeypatch.setattr("streams.transport.watchdog.mmap.mmap", refuse)
    Watchdog(app, 0.01, ended.append)._watch()

    assert ended == [Exit.STALLED]
    assert heard == [{"worker.stalled": "no memory is left"}]


def test_whatever_ends_the_watchdog_ends_the_process_unless_it_was_stopped() -> None:
    ended: list[int] = []
    app: Any = None  # so that looking fails, and telling of it fails too
    watchdog = Watchdog(app, 0.01, ended.append)
    with pytest.raises(AttributeError):
        watchdog._watch()
    assert ended == [Exit.STALLED]

    watchdog.stop()
    watchdog._watch()
    assert ended == [Exit.STALLED]
