"""What a replay reads besides the topic: outcomes in an index, files of lines, dead letters."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.application.dead_letters import Action, Deed, Place
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.outgoing import outcome_message
from ledger.domain.moments import milliseconds
from ledger.domain.outcome import Outcome, rejected
from ledger.domain.rejection import Reason, Rejection
from streams.replay.faults import NotReplayableError
from streams.replay.letters import finding_letters
from streams.replay.outcomes import NotAnOutcomeError, OutcomeIndex
from streams.replay.plan import Filters
from streams.replay.read import Decoder, FileLane, LettersLane
from streams.replay.sources import refuse_forgetful, source_of, stretches_of
from streams.replay.wish import Source, Wish
from tests.builders import NOW, body, encoded, transfer

SENT = transfer("external:bank", "ann", 5, name="sent")
OTHER = transfer("external:bank", "ann", 6, name="sent")


def record(outcome: Outcome) -> Record:
    message = outcome_message(outcome)
    return Record("ledger.outcomes", 0, 0, message.key, message.value, message.headers)


@pytest.fixture
def index() -> Iterator[OutcomeIndex]:
    with closing(sqlite3.connect(":memory:")) as file:
        yield OutcomeIndex(file)


POSTED = Outcome(SENT, "posted", NOW, transaction=SENT.id)


async def test_the_index_knows_what_became_of_an_event(index: OutcomeIndex) -> None:
    refused = rejected(SENT, Rejection(Reason.INSUFFICIENT_FUNDS, "too little"), NOW)
    index.put([record(refused)])
    found = (await index.of([SENT]))[SENT.identity]
    assert (found.kind, found.reason, found.detail, found.posted_at) == (
        "rejected",
        "insufficient_funds",
        "too little",
        NOW,
    )
    assert found.fingerprint == SENT.fingerprint


async def test_what_came_of_an_event_itself_goes_before_what_was_said_to_those_that_repeat_it(
    index: OutcomeIndex,
) -> None:
    index.put(
        [record(Outcome(SENT, "duplicate", NOW)), record(POSTED), record(Outcome(SENT, "duplicate", NOW))]
    )
    assert (await index.of([SENT]))[SENT.identity].kind == "posted"


async def test_an_id_that_was_used_again_is_no_outcome_of_the_first(index: OutcomeIndex) -> None:
    reused = rejected(OTHER, Rejection(Reason.EVENT_ID_REUSED, "other content"), NOW)
    index.put([record(reused), record(POSTED)])
    assert (await index.of([SENT]))[SENT.identity].fingerprint == SENT.fingerprint


async def test_an_outcome_that_does_not_say_of_which_content_it_is_tells_nothing(index: OutcomeIndex) -> None:
    index.put([msgspec.structs.replace(record(POSTED), headers=())])
    assert await index.of([SENT]) == {}


def refused(reason: Reason, seconds: float) -> Outcome:
    return rejected(SENT, Rejection(reason, "refused"), NOW + timedelta(seconds=seconds))


async def kind_in(index: OutcomeIndex, *outcomes: Outcome, partitions: Sequence[int] = (0, 0)) -> str:
    index.put(
        [
            msgspec.structs.replace(record(each), partition=at)
            for at, each in zip(partitions, outcomes, strict=True)
        ]
    )
    found = (await index.of([SENT]))[SENT.identity]
    return str(found.reason or found.kind)


@pytest.mark.parametrize("seconds", [-5, 5])
async def test_what_was_decided_again_after_a_loss_goes_before_what_was_lost(
    index: OutcomeIndex, seconds: float
) -> None:
    assert await kind_in(index, refused(Reason.INSUFFICIENT_FUNDS, seconds), POSTED) == "posted"


@pytest.mark.parametrize(("seconds", "kind"), [(-5, "posted"), (5, "insufficient_funds")])
async def test_of_decisions_in_several_partitions_the_later_one_stands(
    index: OutcomeIndex, seconds: float, kind: str
) -> None:
    lost = refused(Reason.INSUFFICIENT_FUNDS, seconds)
    assert await kind_in(index, lost, POSTED, partitions=(0, 1)) == kind


async def test_an_event_that_came_again_too_late_was_posted_all_the_same(index: OutcomeIndex) -> None:
    assert await kind_in(index, POSTED, refused(Reason.EVENT_TOO_OLD, 5)) == "posted"


async def test_an_event_that_was_never_answered_is_not_known(index: OutcomeIndex) -> None:
    assert await index.of([SENT]) == {}


def test_a_record_that_is_no_outcome_is_named(index: OutcomeIndex) -> None:
    with pytest.raises(NotAnOutcomeError, match=r"ledger\.outcomes/0/7"):
        index.put([Record("ledger.outcomes", 0, 7, None, b"{}")])


def test_what_was_taken_because_of_what_went_before_is_not_gone_on_with() -> None:
    with pytest.raises(NotReplayableError, match="begin it anew"):
        refuse_forgetful(Source("topic", {}, filters=Filters(accounts=["ann"])))
    refuse_forgetful(Source("topic", {}, filters=Filters(tenants=["acme"])))


async def test_lines_of_a_file_are_events_under_the_keys_of_their_accounts(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(encoded(body(name="1")) + b"\n\n" + b"no event\n" + encoded(body(name="2")))
    lane = FileLane.of(file)
    pages = [page async for page in lane.read(0)]
    judged = Decoder(2**18, 2**20).judge(lane, pages[0], 0, datetime.now(UTC))
    assert [(each.offset, each.event is None) for each in judged] == [(0, False), (2, True), (3, False)]
    event = judged[0].event
    assert event is not None
    assert (event.offset, event.key) == (None, b"acme/external:bank")
    assert judged[0].taken_at is not None
    assert milliseconds(judged[0].taken_at) == milliseconds(NOW)
    assert [each.offset async for page in lane.read(1) for each in page] == [2, 3]


def kept(offset: int) -> DeadLetter:
    record = Record("payments", 1, offset, None, encoded(body(name=offset)), (), 5)
    return DeadLetter(record, DeadLetterReason.UNKNOWN_TYPE, "unknown", NOW)


def at_place(offset: int) -> Place:
    return Place("payments", 1, offset)


DROPPED = Action(Deed.DROPPED, "ann", NOW, "paid by hand")


@pytest.mark.parametrize(
    ("offset", "said"), [(30, "dropped by ann .*paid by hand"), (50, "no dead letter at")]
)
async def test_a_letter_that_was_handled_or_is_none_is_not_replayed(offset: int, said: str) -> None:
    letters = MemoryDeadLetters([kept(30), kept(40)])
    await letters.record([at_place(30)], DROPPED)
    wish = Wish(target="live", source="dead-letters", places=[at_place(40), at_place(offset)])
    with pytest.raises(NotReplayableError, match=said):
        await source_of(wish, Settings(), {}, letters)


async def test_a_letter_that_is_handled_while_others_are_replayed_is_passed_by() -> None:
    letters = MemoryDeadLetters([kept(30), kept(40)])
    wish = Wish(target="live", source="dead-letters", places=[at_place(30), at_place(40)])
    _, [lane] = await source_of(wish, Settings(), {}, letters)
    await letters.record([at_place(30)], DROPPED)
    assert [[each.offset for each in page] async for page in lane.read(0)] == [[40]]
    await letters.record([at_place(40)], DROPPED)
    assert [page async for page in lane.read(0)] == []


async def test_letters_are_known_where_they_stand_in_the_topic() -> None:
    letters = MemoryDeadLetters([kept(30), kept(40)])
    await letters.record([at_place(30)], DROPPED)
    find = finding_letters(letters, Source("topic", {}))
    assert find is not None
    sent = [transfer("ann", "bob", 1, name=offset, at=(1, offset)) for offset in (30, 35, 40)]
    events = [msgspec.structs.replace(each, topic="payments") for each in sent]
    no_place = msgspec.structs.replace(events[0], topic=None, partition=None, offset=None)
    assert await find([*events, no_place]) == {at_place(30), at_place(40)}
    assert await find([no_place]) == ()
    assert finding_letters(letters, Source("dead-letters", {})) is None


async def test_dead_letters_are_decoded_anew_at_the_place_where_they_came() -> None:
    value = encoded(body(name="late"))
    letters = [
        DeadLetter(
            Record("payments", 1, offset, None, value, (), 5), DeadLetterReason.UNKNOWN_TYPE, "unknown", NOW
        )
        for offset in (30, 40)
    ]
    lane = LettersLane(MemoryDeadLetters(letters), [Place("payments", 1, 30), Place("payments", 1, 40)])
    [page] = [page async for page in lane.read(0)]
    judged = Decoder(2**18, 2**20).judge(lane, page, 0, NOW)
    assert [(each.offset, each.event and each.event.offset) for each in judged] == [(0, 30), (1, 40)]


class Log:
    """Where a topic begins and ends; all of it came just now."""

    topic = "payments"

    async def bounds(self) -> dict[int, tuple[int, int]]:
        return {0: (5, 90), 1: (0, 40)}

    async def offsets_at(self, time_ms: int) -> dict[int, int]:
        return {0: 5, 1: 0}


@pytest.mark.parametrize(
    "asked",
    [{}, {"offsets": {0: (10, 2**63 - 1), 1: (0, 20)}}, {"outcomes": "topic"}, {"source": "archive"}],
)
async def test_live_books_take_nothing_that_the_workers_have_yet_to_post(asked: dict[str, Any]) -> None:
    wish = Wish(target="live", **asked)
    found = await stretches_of(wish, Settings(), {0: 30, 1: 7}, Log())  # type: ignore[arg-type]
    assert {at: end for at, (_, end) in found.items()} == {0: 30, 1: 7}
