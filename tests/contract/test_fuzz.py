"""Whatever comes from outside: it ends as an event or a dead letter, in bounded time and memory, and raises nothing."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.contract import fuzzed
from tests.contract.fuzzed import READERS, MishandledError, is_handled, read
from tests.contract.hostile import CORPUS, huge, kept, records

CPU_S_MAX = 2.0
"""Wide, for a busy machine: the slowest of them takes 0.12 s on an idle one, and what is quadratic takes minutes."""
MEMORY_FACTOR_MAX = 40
MEMORY_BYTES_BASE = 4 * 1024**2

KEPT = dict(kept())
HUGE = dict(huge())

short = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", KEPT)
def test_a_record_of_the_corpus_comes_to_one_end(name: str) -> None:
    is_handled(KEPT[name])


@pytest.mark.parametrize("name", HUGE)
def test_the_largest_records_take_bounded_time(name: str) -> None:
    assert min(cpu_s(lambda: is_handled(HUGE[name])) for _ in range(3)) < CPU_S_MAX


@pytest.mark.parametrize("name", HUGE)
def test_the_largest_records_take_bounded_memory(name: str) -> None:
    value = HUGE[name]
    assert memory_bytes(lambda: is_handled(value)) < MEMORY_BYTES_BASE + MEMORY_FACTOR_MAX * len(value)


@short
@given(records())
def test_any_record_comes_to_one_end(value: bytes) -> None:
    is_handled(value)


@short
@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_come_to_one_end(value: bytes) -> None:
    is_handled(value)


def test_a_tombstone_comes_to_one_end() -> None:
    assert not is_handled(None)


@given(st.none() | st.binary(max_size=40))
def test_any_key_comes_to_one_end(key: bytes | None) -> None:
    is_handled(KEPT["spaces_around"], key)


@pytest.mark.parametrize("name", READERS)
def test_other_readers_refuse_the_corpus_in_their_own_words(name: str) -> None:
    for value in (*KEPT.values(), *HUGE.values()):
        read(name, value)


@pytest.mark.parametrize("name", READERS)
@settings(short, max_examples=60)
@given(value=records() | st.binary(max_size=100))
@example(value=b"")
def test_other_readers_refuse_any_bytes_in_their_own_words(name: str, value: bytes) -> None:
    read(name, value)


@pytest.mark.parametrize("fault", [ValueError, RecursionError, UnicodeDecodeError, KeyError])
def test_a_decoder_that_raises_is_seen(monkeypatch: pytest.MonkeyPatch, fault: type[Exception]) -> None:
    def broken(*_: object) -> None:
        raise fault("utf-8", b"", 0, 1, "planted") if fault is UnicodeDecodeError else fault("planted")

    monkeypatch.setattr("ledger.contract.decode.transfer_of", broken)
    with pytest.raises(fault):
        is_handled(KEPT["spaces_around"])


def test_a_record_that_is_dropped_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzed, "sort_records", lambda *_: ([], []))
    with pytest.raises(MishandledError):
        is_handled(KEPT["spaces_around"])


def test_time_that_grows_with_the_square_is_seen() -> None:
    def slow() -> None:
        text = "x" * 80_000
        while text:
            text = text[1:]
            sum(map(ord, text[::8]))

    assert cpu_s(slow) > CPU_S_MAX


def test_memory_is_counted() -> None:
    assert memory_bytes(lambda: [bytes(1000) for _ in range(5000)]) > 5_000_000


def test_the_corpus_is_read_from_its_folder() -> None:
    assert len(list(Path(CORPUS).iterdir())) == len(KEPT) >= 70


def cpu_s(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started


def memory_bytes(work: Callable[[], object]) -> int:
    """Give the most that was held at a time while it worked."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
