"""What an operator can do about dead letters: found, sent again byte for byte or edited, dropped."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.application.dead_letters import (
    Action,
    Deed,
    Done,
    DropLetters,
    EnsureHeld,
    LetterHandledError,
    LetterPostedError,
    LetterQuery,
    NoSuchLetterError,
    Place,
    PlaceFormatError,
    RefusePosted,
    RequeueLetters,
    places_of,
)
from ledger.application.faults import TransientFaultError
from ledger.contract.dead_letter import ORIGIN, DeadLetter, DeadLetterReason, Header, NotAnEventError, Record
from ledger.contract.decode import ADDRESS_BYTES_MAX
from ledger.contract.outgoing import CONTENT_TYPE, Message
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier
from tests.builders import NOW, HandClock, body, encoded

HEADERS = (("trace", b"\xff\x00"), ("trace", None))


def letter(
    offset: int,
    value: bytes | None = b"nonsense",
    key: bytes | None = None,
    headers: Sequence[Header] = HEADERS,
) -> DeadLetter:
    record = Record("payments", 0, offset, key, value, tuple(headers), 1)
    return DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "why", NOW + timedelta(seconds=offset))


def place(offset: int) -> Place:
    return Place("payments", 0, offset)


def link(offset: int) -> tuple[str, bytes]:
    return ORIGIN, str(place(offset)).encode()


class Topic:
    """Payments that remember what was sent; `away` makes them fail."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.away = False

    async def send(self, messages: Sequence[Message]) -> Sequence[Place]:
        if self.away:
            raise ConnectionError("Kafka is away")
        self.sent += messages
        return [place(1000 + number) for number in range(len(messages))]


class Posted:
    """Books that have posted every event, as it stood at one offset; None: they have posted nothing."""

    def __init__(self) -> None:
        self.offset: int | None = None

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        if self.offset is None:
            return {}
        earlier = Earlier(b"f", "posted", NOW, "payments", 0, self.offset)
        return {each.identity: earlier for each in events}


class LetGo(MemoryDeadLetters):
    """Letters that are lost as soon as they are held."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[EnsureHeld]:
        async def ensure_held() -> None:
            raise TransientFaultError("the connection is gone")

        yield ensure_held


class Desk:
    """The use cases over letters in memory."""

    def __init__(self, *letters: DeadLetter, kind: type[MemoryDeadLetters] = MemoryDeadLetters) -> None:
        self.letters = kind(letters)
        self.topic = Topic()
        self.posted = Posted()
        refuse = RefusePosted(self.posted)
        self.requeue = RequeueLetters(self.letters, self.topic, HandClock(), refuse)
        self.drop = DropLetters(self.letters, HandClock(), refuse)

    async def open(self) -> list[int]:
        return [each.offset for each in await places_of(self.letters, LetterQuery(), 100)]


@pytest.mark.parametrize("value", [b"nonsense", b"\xff\x00", b"", None])
async def test_letter_is_sent_as_it_came(value: bytes | None) -> None:
    desk = Desk(letter(1, value, key=b"k\xff"))
    done = await desk.requeue([place(1)], "ann", "outage over")
    assert desk.topic.sent == [Message(b"k\xff", value, (*HEADERS, link(1)))]
    assert desk.letters.actions == [(place(1), Action(Deed.REQUEUED, "ann", NOW, "outage over"))]
    assert done.not_events == [place(1)]


async def test_letter_that_is_an_event_by_now_is_told_apart() -> None:
    desk = Desk(letter(1, encoded(body())), letter(2))
    done = await desk.requeue([place(1), place(2)], "ann")
    assert done.not_events == [place(2)]


async def test_link_to_what_it_was_replaces_an_older_one() -> None:
    desk = Desk(letter(7, headers=(link(1), *HEADERS)))
    await desk.requeue([place(7)], "ann")
    assert desk.topic.sent[0].headers == (*HEADERS, link(7))


async def test_link_makes_no_record_too_large() -> None:
    full = (("h", b"x" * (ADDRESS_BYTES_MAX - 2)),)
    desk = Desk(letter(1, encoded(body()), key=b"k", headers=full))
    done = await desk.requeue([place(1)], "ann")
    assert (desk.topic.sent[0].headers, done.not_events) == (full, [])


async def test_what_was_sent_is_told_with_its_place_and_its_event() -> None:
    desk = Desk(letter(1, encoded(body())), letter(2))
    event, garbage = (await desk.requeue([place(2), place(1)], "ann")).sent
    assert (event.letter, event.record, garbage.letter, garbage.record) == (*map(place, (1, 1000, 2, 1001)),)
    assert (event.event is None, garbage.event) == (False, None)


async def test_what_kafka_did_not_take_stays_open() -> None:
    desk = Desk(letter(1))
    desk.topic.away = True
    with pytest.raises(ConnectionError):
        await desk.requeue([place(1)], "ann")
    assert (desk.letters.actions, await desk.open()) == ([], [1])


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: desk.requeue([place(1)], "ann"),
        lambda desk: desk.requeue.edited(place(1), encoded(body()), "ann"),
        lambda desk: desk.drop([place(1)], "ann", "why"),
    ],
    ids=["requeue", "edit", "drop"],
)
async def test_letters_that_are_not_in_hand_any_more_are_left_alone(
    act: Callable[[Desk], Awaitable[Done]],
) -> None:
    desk = Desk(letter(1), kind=LetGo)
    with pytest.raises(TransientFaultError):
        await act(desk)
    assert (desk.topic.sent, desk.letters.actions) == ([], [])


async def test_order_of_sending_is_that_of_the_letters() -> None:
    desk = Desk(letter(1, b"1"), letter(2, b"2"), letter(3, b"3"))
    await desk.requeue([place(3), place(1), place(2)], "ann")
    assert [message.value for message in desk.topic.sent] == [b"1", b"2", b"3"]


async def test_edited_letter_goes_under_the_key_it_came_with() -> None:
    desk, value = Desk(letter(1, key=b"theirs")), encoded(body())
    await desk.requeue.edited(place(1), value, "ann")
    assert desk.topic.sent == [Message(b"theirs", value, (CONTENT_TYPE, *HEADERS, link(1)))]
    assert desk.letters.actions[0][1].edited_value == value


async def test_edited_letter_without_a_key_gets_that_of_the_account() -> None:
    desk = Desk(letter(1))
    await desk.requeue.edited(place(1), encoded(body()), "ann")
    assert desk.topic.sent[0].key == b"acme/external:bank"


async def test_what_is_edited_must_be_an_event() -> None:
    desk = Desk(letter(1))
    with pytest.raises(NotAnEventError):
        await desk.requeue.edited(place(1), b"still nonsense", "ann")
    assert (desk.topic.sent, desk.letters.actions) == ([], [])


@pytest.mark.parametrize("first", ["requeue", "drop"])
async def test_letter_is_handled_once_unless_again(first: str) -> None:
    desk = Desk(letter(1))
    await (desk.requeue if first == "requeue" else desk.drop)([place(1)], "ann", "because")
    with pytest.raises(LetterHandledError, match=r"by ann at .* \(because\)"):
        await desk.requeue([place(1)], "bob")
    with pytest.raises(LetterHandledError):
        await desk.drop([place(1)], "bob", "why")
    await desk.requeue([place(1)], "bob", again=True)
    assert desk.letters.actions[-1][1].by == "bob"


async def test_nothing_is_done_if_one_letter_is_not_there() -> None:
    desk = Desk(letter(1))
    with pytest.raises(NoSuchLetterError, match="payments/0/7"):
        await desk.requeue([place(1), place(7)], "ann")
    with pytest.raises(NoSuchLetterError):
        await desk.drop([place(7)], "ann", "why")
    assert (desk.topic.sent, desk.letters.actions) == ([], [])


async def test_dropped_letter_is_sent_nowhere_and_no_longer_open() -> None:
    desk = Desk(letter(1), letter(2))
    await desk.drop([place(1)], "ann", "a test")
    assert (desk.topic.sent, await desk.open()) == ([], [2])


async def test_letter_that_was_posted_from_its_place_is_neither_dropped_nor_mended() -> None:
    desk, value = Desk(letter(1, encoded(body())), letter(2)), encoded(body(name="mended"))
    desk.posted.offset = 1
    with pytest.raises(LetterPostedError, match=f"have posted {place(1)}.*replay --live --place"):
        await desk.drop([place(2), place(1)], "ann", "why")
    with pytest.raises(LetterPostedError):
        await desk.requeue.edited(place(1), value, "ann")
    assert (desk.letters.actions, desk.topic.sent) == ([], [])
    await desk.requeue.edited(place(1), value, "ann", again=True)
    assert len(desk.topic.sent) == 1


async def test_letter_whose_event_was_posted_from_elsewhere_can_be_dropped() -> None:
    desk = Desk(letter(1, encoded(body())), letter(2))
    desk.posted.offset = 7
    await desk.drop([place(1), place(2)], "ann", "it came twice")
    assert await desk.open() == []


@pytest.mark.parametrize(
    "text", ["", "payments", "payments/0", "/0/1", "payments/x/1", "payments/0/-1", "payments/0/٣", "p/0/1 "]
)
def test_what_names_no_letter_is_said(text: str) -> None:
    with pytest.raises(PlaceFormatError, match="TOPIC/PARTITION/OFFSET"):
        Place.parse(text)


@pytest.mark.parametrize("text", ["payments/0/0", "a.b-c/1023/9223372036854775807"])
def test_place_is_read_as_it_is_written(text: str) -> None:
    assert str(Place.parse(text)) == text
