"""One suite for every kind of books: what they keep, what they answer, what they hold back."""

from contextlib import AsyncExitStack

import msgspec
import pytest

from ledger.application.faults import PositionGapError
from ledger.application.ports import Position
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.domain.books import Needs, needs_of
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.builders import INT64_MAX, NOW, event, event_id, transfer
from tests.fakes import FailingStore
from tests.ports.conftest import Bench
from tests.scripts import meant, parse, went

LIFE = f"""
    open ann overdraft=40 note=x                  | posted
    open ann overdraft=40 note=x                  | duplicate
    open ann note=y                               | account_exists_differently
    d: transfer external:bank ann 100             | posted
    d: transfer external:bank ann 100             | duplicate
    d: transfer external:bank ann 101             | event_id_reused
    transfer ann shop 30                          | posted
    transfer ann shop 111                         | insufficient_funds
    transfer external:bank ann 5000 asset=JPY/0   | posted
    show ann                                      | 70 held 0 version 2
    show ann JPY/0                                | 5000 held 0 version 1
    h: hold ann shop 60 expires=600               | posted
    show ann                                      | 70 held 60 version 2
    c: capture h 20 more                          | posted
    capture h 41                                  | exceeds_hold
    capture h 10                                  | posted
    void h                                        | hold_closed
    show ann                                      | 40 held 0 version 4
    reverse c 5                                   | posted
    reverse c 16                                  | exceeds_original
    r: reverse c                                  | posted
    reverse c                                     | already_reversed
    reverse r                                     | posted
    show ann                                      | 45 held 0 version 7
    show shop                                     | 55 held 0 version 6
    p: post ann:-45 shop:-55 bob:60 fees:40       | posted
    reverse p 1                                   | exceeds_original
    reverse p                                     | posted
    reverse p                                     | already_reversed
    transfer ann shop 45                          | posted
    close ann                                     | account_not_empty
    transfer ann external:bank 5000 asset=JPY/0   | posted
    close ann                                     | posted
    close ann                                     | account_closed
    transfer external:bank ann 1                  | account_closed
    transfer external:bank ann 1 asset=BTC/8      | account_closed
    close nobody                                  | account_not_found
    open cash debit                               | posted
    transfer cash external:till {INT64_MAX}       | posted
    transfer cash external:till 1                 | amount_out_of_range
    show cash                                     | {INT64_MAX} held 0 version 1
    transfer external:till cash {INT64_MAX}       | posted
    show cash                                     | 0 held 0 version 2
    close cash                                    | posted
    reverse nothing                               | transaction_not_found
    capture nothing                               | hold_not_found
"""


def deposit(
    bench: Bench, name: object = "d", amount: int = 1000, *, at: tuple[int, int] | None = None
) -> Event:
    return transfer("external:bank", "ann", amount, name=name, tenant=bench.tenant, at=at)


def names(bench: Bench, event_type: str, data: dict[str, object], name: object, **more: object) -> Event:
    return event(event_type, data, name=name, tenant=bench.tenant, **more)  # type: ignore[arg-type]


EXPIRY = """
    e: hold external:bank shop 60 expires=700     | posted
    f: hold external:bank shop 60 expires=700     | posted
    clock 699.999
    capture e 1 more                              | posted
    clock 0.001
    capture e                                     | hold_expired
    capture f                                     | hold_expired
    show external:bank                            | -1 held 119 version 1
    void e                                        | posted
    void e                                        | hold_expired
    capture e                                     | hold_expired
    show external:bank                            | -1 held 60 version 1
"""


@pytest.mark.parametrize("script", [LIFE, EXPIRY])
async def test_life_of_the_books_event_by_event(bench: Bench, script: str) -> None:
    steps = parse(script, bench.tenant)

    async def handle(event: Event) -> Outcome:
        return (await bench.post(event))[0]

    assert await went(steps, bench.clock, handle, bench.balance) == meant(steps)


async def test_life_of_the_books_in_one_batch(bench: Bench) -> None:
    steps = parse(LIFE, bench.tenant)
    answers = await bench.answers(*[step.event for step in steps if step.event])
    assert answers == [step.expected for step in steps if step.event]


async def test_redelivery_gives_the_first_outcomes(bench: Bench) -> None:
    events = [
        names(bench, "account.open.v1", {"account": "ann"}, 1, at=(0, 1)),
        deposit(bench, 2, at=(0, 2)),
        names(
            bench,
            "hold.place.v1",
            {"debit": "ann", "credit": "shop", "amount": 9, "asset": "USD/2"},
            3,
            at=(0, 3),
        ),
        transfer("ann", "shop", 5000, name=4, tenant=bench.tenant, at=(0, 4)),
        names(bench, "account.open.v1", {"account": "ann"}, 5, at=(0, 5)),
        deposit(bench, 2, at=(0, 6)),
        deposit(bench, 2, amount=1, at=(0, 7)),
    ]
    first = await bench.post(*events)
    assert [str(each.reason or each.kind) for each in first] == [
        "posted",
        "posted",
        "posted",
        "insufficient_funds",
        "duplicate",
        "duplicate",
        "event_id_reused",
    ]
    again = await bench.post(*events)
    assert again[:4] == first[:4]
    assert [untimed(each) for each in again[4:]] == [untimed(each) for each in first[4:]]


def untimed(outcome: Outcome) -> Outcome:
    """Leave out when it was said: of an event that comes twice, that is each time another."""
    return msgspec.structs.replace(outcome, posted_at=NOW)


async def test_redelivered_moments_are_written_alike(bench: Bench) -> None:
    data = {"debit": "external:a", "credit": "ann", "amount": 1, "asset": "USD/2"}
    sent = names(
        bench, "transfer.post.v1", data | {"effective_at": "2026-11-20T12:00:00+05:00"}, 1, at=(0, 1)
    )
    [first] = await bench.post(sent)
    [again] = await bench.post(sent)
    assert str(first.effective_at) == str(again.effective_at) == "2026-11-20 07:00:00+00:00"


async def test_position_is_compared_and_set(bench: Bench) -> None:
    await bench.store.begin(bench.topic, {0: 5})
    await bench.store.begin(bench.topic, {0: 3})
    for first, following in ((5, 9), (9, 12), (5, 7), (12, 12)):
        await bench.post(position=Position(bench.topic, 0, first, following))
    assert await bench.look.position(bench.topic, 0) == 12


async def test_unseen_partition_begins_at_zero(bench: Bench) -> None:
    with pytest.raises(PositionGapError) as caught:
        await bench.post(position=Position(bench.topic, 0, 5, 9))
    assert (caught.value.expected, caught.value.first) == (0, 5)


async def test_gap_leaves_no_trace(bench: Bench) -> None:
    await bench.store.begin(bench.topic, {0: 5})
    await bench.post(position=Position(bench.topic, 0, 5, 9))
    before = await bench.digest()
    with pytest.raises(PositionGapError) as caught:
        await bench.post(deposit(bench), position=Position(bench.topic, 0, 10, 11))
    assert (caught.value.expected, caught.value.first) == (9, 10)
    assert await bench.digest() == before


def letter(bench: Bench, offset: int, detail: str = "why", **record: object) -> DeadLetter:
    kept = Record(bench.topic, 0, offset, **({"key": None, "value": b"\xff\x00"} | record))  # type: ignore[arg-type]
    return DeadLetter(kept, DeadLetterReason.MALFORMED_JSON, detail, NOW)


async def test_dead_letters_are_kept_byte_for_byte(bench: Bench) -> None:
    headers = (("a", b"\xff"), ("a", None), ("\x00", b""))
    await bench.post(
        letters=(
            letter(bench, 0, key=b"\x00\xfe", value=bytes(range(256)), headers=headers, timestamp_ms=5),
            letter(bench, 1, value=None),
            letter(bench, 2, value=b"", key=b""),
        )
    )
    assert await bench.look.letters(bench.topic) == [
        (0, b"\x00\xfe", bytes(range(256)), "why"),
        (1, None, None, "why"),
        (2, b"", b"", "why"),
    ]


async def test_dead_letters_are_kept_once(bench: Bench) -> None:
    await bench.post(letters=(letter(bench, 0), letter(bench, 1)))
    await bench.post(letters=(letter(bench, 1, "again"), letter(bench, 2)))
    kept = await bench.look.letters(bench.topic)
    assert [(offset, detail) for offset, _, _, detail in kept] == [(0, "why"), (1, "why"), (2, "why")]


async def test_letters_and_events_share_a_batch(bench: Bench) -> None:
    answers = await bench.answers(
        deposit(bench, at=(0, 0)), letters=(letter(bench, 1),), position=Position(bench.topic, 0, 0, 2)
    )
    assert (answers, len(await bench.look.letters(bench.topic))) == (["posted"], 1)


@pytest.mark.parametrize("step", ["begin", "lock", "claim", "write", "advance", "before commit"])
async def test_fault_is_waited_out(bench: Bench, step: str) -> None:
    store = FailingStore(bench.store, [step, step])
    position = Position(bench.topic, 0, 0, 1)
    assert await bench.answers(deposit(bench, at=(0, 0)), position=position, store=store) == ["posted"]
    assert await bench.balance("ann") == "1000 held 0 version 1"


async def test_lost_answer_of_a_commit_is_recalled(bench: Bench) -> None:
    store = FailingStore(bench.store, ["after commit"])
    [outcome] = await bench.post(deposit(bench, at=(0, 0)), store=store)
    assert (outcome.kind, len(outcome.entries)) == ("posted", 2)
    assert await bench.balance("ann") == "1000 held 0 version 1"


async def test_fault_of_our_own_leaves_no_trace(bench: Bench) -> None:
    store = FailingStore(bench.store, ["before commit"], ValueError)
    with pytest.raises(ValueError, match="before commit"):
        await bench.post(deposit(bench), store=store)
    digest = await bench.digest()
    assert not any(digest.values())


async def test_unit_left_without_commit_leaves_no_trace(bench: Bench) -> None:
    sent = deposit(bench)
    async with bench.store.unit_of_work() as unit:
        await unit.claim([sent])
        await unit.lock(needs_of([sent]))
    assert not any((await bench.digest()).values())


@pytest.mark.parametrize("names", [["a", "b"], ["a", "known"], ["known"], ["b", "known", "a"], []])
async def test_of_the_ids_that_are_claimed_those_that_others_claimed_are_told(
    bench: Bench, names: list[str]
) -> None:
    await bench.post(deposit(bench, name="known"))
    before = await bench.digest()
    events = [deposit(bench, name=name) for name in names]
    async with bench.store.unit_of_work() as unit:
        known = await unit.claim(events)
        assert [(key, each.kind) for key, each in known.items()] == [
            (event.identity, "posted") for event, name in zip(events, names, strict=True) if name == "known"
        ]
    assert await bench.digest() == before
    outcomes = await bench.post(*events)
    assert [each.kind for each in outcomes] == [
        "duplicate" if name == "known" else "posted" for name in names
    ]


async def test_nothing_is_needed_of_an_empty_batch(bench: Bench) -> None:
    async with bench.store.unit_of_work() as unit:
        books = await unit.lock(Needs(set(), set(), set(), set(), set(), set()))
        assert (books.accounts, books.balances) == ({}, {})


async def test_store_serves_many_units_in_turn(bench: Bench) -> None:
    for number in range(25):
        async with AsyncExitStack() as stack:
            unit = await stack.enter_async_context(bench.store.unit_of_work())
            await unit.advance(Position(bench.topic, number, 0, 1))
            await unit.commit()
    assert await bench.look.position(bench.topic, 24) == 1


async def test_ids_may_be_named_in_upper_case(bench: Bench) -> None:
    await bench.post(deposit(bench))
    reverse = names(bench, "transaction.reverse.v1", {"transaction": event_id("d").upper()}, "r")
    again = names(bench, "transaction.reverse.v1", {"transaction": event_id("d")}, "r2")
    assert await bench.answers(reverse, again) == ["posted", "already_reversed"]
