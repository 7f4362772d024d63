"""Whole streams of random events: books in memory and in PostgreSQL answer and hold the same."""

import json
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.adapters.postgres import writing
from ledger.application.post_events import Batch, DecideNow, PostEvents
from ledger.contract.dead_letter import DeadLetter, NotAnEventError, Record
from ledger.contract.decode import METADATA_DEPTH_MAX, decode_event
from ledger.domain.books import Books, Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.builders import NOW, TRANSFER, body, event
from tests.ports.conftest import Bench
from tests.ports.payments import Office
from tests.random_events import random_stream


def batches(chance: Random, stream: list[Event]) -> list[list[Event]]:
    """Cut a stream into pieces, some of which come twice."""
    cuts = sorted(chance.randint(0, len(stream)) for _ in range(chance.randint(0, 6)))
    pieces = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
    return [piece for piece in pieces for _ in range(1 + (chance.random() < 0.2))]


WAYS = {"by COPY": 0, "as it comes": writing.FEW, "in one statement": 1000}
"""Up to how many transactions go in one statement."""


@pytest.mark.parametrize("seed", range(12))
async def test_memory_and_postgres_agree(
    memory_office: Office, postgres_office: Office, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FEW", list(WAYS.values())[seed % len(WAYS)])
    memory, postgres = memory_office.bench, postgres_office.bench
    memory.tenant = postgres.tenant
    for office in (memory_office, postgres_office):
        await office.providers.put(memory.tenant, "bank", {})
    chance = Random(seed)
    for batch in batches(chance, random_stream(chance, 150, tenant=memory.tenant)):
        assert await postgres.post(*batch) == await memory.post(*batch)
        memory.clock.move(chance.choice([0, 1, 30, -20]))
        postgres.clock.time = memory.clock.time
    assert await postgres.digest() == await memory.digest()
    assert (await memory.digest())["payments"]


class Failing(DecideNow):
    """Fails at the fourth event that it decides."""

    def __init__(self) -> None:
        self._left = 3

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        if not self._left:
            raise ZeroDivisionError
        self._left -= 1
        return super().decide(event, books, now, rules)


async def test_nothing_is_left_of_a_batch_of_which_an_event_could_not_be_decided(bench: Bench) -> None:
    before = await bench.digest()
    stream = [event(data=TRANSFER, name=number, tenant=bench.tenant) for number in range(8)]
    post = PostEvents(bench.store, bench.clock, Rules(), bench.signals, judge=Failing())
    for _ in range(12):  # more often than there are connections
        with pytest.raises(ZeroDivisionError):
            await post(Batch(stream))
    assert await bench.digest() == before
    assert await bench.answers(*stream) == ["posted"] * 8


async def test_any_memory_of_rows_gives_the_same(memory: Bench, forgetful: Bench) -> None:
    stream = random_stream(Random(77), 200, tenant=forgetful.tenant)
    for start in range(0, len(stream), 20):
        batch = stream[start : start + 20]
        assert await forgetful.post(*batch) == await memory.post(*batch)


async def test_many_tenants_in_a_batch_agree(memory: Bench, postgres: Bench) -> None:
    streams = [random_stream(Random(seed), 40, tenant=f"{postgres.tenant}-{seed}") for seed in range(5)]
    mixed = [event for events in zip(*streams, strict=True) for event in events]
    assert await postgres.post(*mixed) == await memory.post(*mixed)


# Whatever decodes can be stored, whatever does not can be kept

NUMBERS = (
    st.integers()
    | st.integers(2**63 - 2, 2**70)
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e308, -1e308, 5e-324, -0.0, 1e23, 10**4000, 2**64])
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "\x00", "\uffff", "\U0010ffff", "\\u0000", "\x7f\x01", '"']
)
METADATA = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def nested(depth: int) -> Any:
    value: Any = {}
    for number in range(depth - 1):
        value = [value] if number % 2 else {"a": value}
    return value if isinstance(value, dict) else {"a": value}


def sent(bench: Bench, metadata: Any, reference: str, name: object) -> bytes:
    data = TRANSFER | {"metadata": metadata, "reference": reference}
    return json.dumps(body(data=data, name=name, tenant=bench.tenant)).encode()


@settings(max_examples=80)
@given(values=st.lists(st.tuples(METADATA, TEXTS), min_size=1, max_size=8), few=st.sampled_from([0, 1000]))
async def test_whatever_decodes_can_be_stored(
    postgres_for_fuzz: Bench, values: list[tuple[Any, str]], few: int
) -> None:
    bench = postgres_for_fuzz
    events, letters = [], []
    for number, (metadata, reference) in enumerate(values):
        value = sent(bench, metadata, reference, f"{number} {metadata!r} {reference!r}")
        try:
            events.append(decode_event(value))
        except NotAnEventError as error:
            offset = bench.clock.now().microsecond
            bench.clock.time = bench.clock.time.replace(microsecond=offset + 1)
            record = Record(bench.topic, 0, offset, None, value)
            letters.append(DeadLetter(record, error.reason, error.detail, NOW))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "FEW", few)
        assert len(await bench.post(*events, letters=tuple(letters))) == len(events)


@pytest.mark.parametrize("few", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("depth", [1, 2, METADATA_DEPTH_MAX])
async def test_nesting_to_the_limit_can_be_stored(
    bench: Bench, depth: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FEW", few)
    event = decode_event(sent(bench, nested(depth), "r", "e"))
    assert await bench.answers(event) == ["posted"]
    [stored] = (await bench.digest())["transactions"].values()
    assert stored[3] == nested(depth)


@pytest.mark.parametrize("few", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:01Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999998Z"]
)
async def test_times_of_any_century_can_be_stored(
    postgres: Bench, at: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FEW", few)
    data = TRANSFER | {"effective_at": at, "metadata": {"ö": [1.5, None]}, "reference": "–"}
    assert await postgres.answers(event(data=data, tenant=postgres.tenant)) == ["posted"]
    [stored] = (await postgres.digest())["transactions"].values()
    assert stored[1:4] == (datetime.fromisoformat(at), "–", {"ö": [1.5, None]})


@pytest.mark.parametrize("number", [1e308, 5e-324, 1e23, 0.1, 10**4000, -(2**63), 123456789.123456789])
async def test_account_with_odd_numbers_stands_so_already(bench: Bench, number: float) -> None:
    for name, answer in (("1", "posted"), ("2", "duplicate")):
        data = {"account": "ann", "metadata": {"n": number}}
        value = json.dumps(body("account.open.v1", data, name=name, tenant=bench.tenant)).encode()
        assert await bench.answers(decode_event(value)) == [answer]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999998Z", "1883-11-18T12:00:00-07:53"]
)
async def test_ends_of_the_calendar_can_be_stored(bench: Bench, moment: str) -> None:
    data = TRANSFER | {"effective_at": moment}
    value = json.dumps(body(data=data, tenant=bench.tenant)).encode()
    [first] = await bench.post(decode_event(value, partition=0, offset=1))
    [again] = await bench.post(decode_event(value, partition=0, offset=1))
    assert first == again


@pytest.mark.parametrize("member", ["a\x00b", "\uffff", "x" * 5000])
async def test_detail_that_quotes_the_record_can_be_stored(bench: Bench, member: str) -> None:
    value = json.dumps(body(data=TRANSFER | {member: 1})).encode()
    with pytest.raises(NotAnEventError) as caught:
        decode_event(value)
    record = Record(bench.topic, 0, 0, None, value)
    letter = DeadLetter(record, caught.value.reason, caught.value.detail, NOW)
    assert await bench.answers(letters=(letter,)) == []
