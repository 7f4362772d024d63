"""Dead letters in the console: every byte shown and none believed, mended, requeued and dropped, by operators."""

import re
from typing import Any

import httpx
import pytest

from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.application.dead_letters import Deed
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.decode import decode_event
from ledger.domain.outcome import Earlier
from ledger.domain.rejection import Reason
from tests.api.console_world import ConsoleWorld, token_in, visiting
from tests.builders import NOW, body, encoded

HOSTILE = b'{"<script>alert(1)</script>":"</textarea><b>"}\x00\xff'


def letter(offset: int, value: bytes | None = b"nonsense") -> DeadLetter:
    record = Record("payments", 0, offset, b"<key>", value, (("<h>\udcff", b"\xfe<b>"), ("none", None)), 1)
    return DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "<i>why</i>", NOW)


def world_of(*letters: DeadLetter) -> ConsoleWorld:
    return ConsoleWorld(letters=MemoryDeadLetters(letters))


async def asked(world: ConsoleWorld, path: str, scope: Any = "admin", tenant: str = "acme") -> httpx.Response:
    async with visiting(world, scope, tenant) as client:
        return await client.get(f"/console/{path}")


async def posted(world: ConsoleWorld, path: str, **form: Any) -> httpx.Response:
    async with visiting(world, "admin") as client:
        token = token_in((await client.get("/console")).text)
        return await client.post(f"/console/{path}", data={"token": token, **form})


@pytest.mark.parametrize(("scope", "tenant"), [("read", "acme"), ("write", "acme"), ("admin", "rival")])
@pytest.mark.parametrize("path", ["letters", "letters/payments/0/1", "reports", "reports/x.json"])
async def test_only_operators_see_what_belongs_to_no_tenant(path: str, scope: str, tenant: str) -> None:
    answer = await asked(world_of(letter(1)), path, scope, tenant)
    assert (answer.status_code, "nonsense" in answer.text) == (403, False)


@pytest.mark.parametrize("path", ["letters", "letters/payments/0/1"])
async def test_only_operators_do_anything_about_them(path: str) -> None:
    world = world_of(letter(1))
    async with visiting(world, "admin", "rival") as client:
        token = token_in((await client.get("/console")).text)
        form = {"token": token, "deed": "drop", "letter": "payments/0/1", "why": "x", "value": "x"}
        assert (await client.post(f"/console/{path}", data=form)).status_code == 403
    assert world.letters.actions == []


async def test_letters_are_listed_the_open_ones_unless_all_are_asked_for() -> None:
    world = world_of(letter(1), letter(2))
    await posted(world, "letters", deed="drop", letter="payments/0/1", why="garbage")
    listed, every = await asked(world, "letters"), await asked(world, "letters?all=1")
    assert ("payments/0/1" in listed.text, "payments/0/1" in every.text) == (False, True)
    assert "No dead letter is open of this reason" in (await asked(world, "letters?reason=too_large")).text
    assert (await asked(world, "letters?reason=x")).status_code == 404


async def test_the_bytes_of_a_letter_are_shown_and_none_is_a_tag() -> None:
    text = (await asked(world_of(letter(1, HOSTILE)), "letters/payments/0/1")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\\x00\\xff" in text
    assert "7b 22 3c 73 63 72 69 70" in text
    for tag in ("<script>alert", "<b>&#34;", "\\xfe<b>", "<i>why", "<key>", "<h>"):
        assert tag not in text
    assert "It is not text" in text


@pytest.mark.parametrize(("value", "says"), [(None, "a tombstone"), (b"", "Its value is empty")])
async def test_a_letter_without_bytes_says_so(value: bytes | None, says: str) -> None:
    assert says in (await asked(world_of(letter(1, value)), "letters/payments/0/1")).text


async def test_a_letter_that_is_not_there_is_said() -> None:
    assert (await asked(world_of(), "letters/payments/0/1")).status_code == 404


async def test_a_mended_letter_is_sent_and_written_down() -> None:
    world, event = world_of(letter(1)), encoded(body())
    answer = await posted(world, "letters/payments/0/1", value=event.decode(), why="mended")
    assert answer.status_code == 303
    told = (await asked(world, answer.headers["location"].removeprefix("/console/"))).text
    assert "The mended letter was sent." in told
    assert [each.value for each in world.topic.sent] == [event]
    ((place, action),) = world.letters.actions
    assert (str(place), action.deed, action.why) == ("payments/0/1", Deed.REQUEUED, "mended")
    assert action.by.startswith("acme, key ")


async def test_what_became_of_a_mended_letter_is_shown_beside_it() -> None:
    world, event = world_of(letter(1)), decode_event(encoded(body()))
    await posted(world, "letters/payments/0/1", value=encoded(body()).decode())
    assert "not in the books" in (await asked(world, "letters/payments/0/1")).text
    world.precedents.known[event.id] = Earlier(event.fingerprint, "posted", NOW)
    told = (await asked(world, "letters/payments/0/1")).text
    assert (f'/console/events/{event.id}"' in told, ">posted</span>" in told) == (True, True)
    refusal = Earlier(
        event.fingerprint, "rejected", NOW, reason=Reason.INSUFFICIENT_FUNDS, detail="<b>none</b>"
    )
    world.precedents.known[event.id] = refusal
    told = (await asked(world, "letters/payments/0/1")).text
    assert ("insufficient funds: &lt;b&gt;none" in told, "<b>none" in told) == (True, False)


async def test_what_is_no_event_either_is_not_sent_and_not_lost() -> None:
    world = world_of(letter(1))
    answer = await posted(world, "letters/payments/0/1", value='{"half": "done"')
    assert (answer.status_code, "That is no event either" in answer.text) == (422, True)
    assert "{&#34;half&#34;: &#34;done&#34;" in answer.text
    assert world.topic.sent == []


async def test_many_are_requeued_at_once() -> None:
    world = world_of(*(letter(number) for number in range(5)))
    answer = await posted(world, "letters", deed="requeue", letter=["payments/0/1", "payments/0/3"])
    told = (await asked(world, answer.headers["location"].removeprefix("/console/"))).text
    assert "2 letters requeued. 2 letters will come back" in told
    assert [place.offset for place, _ in world.letters.actions] == [1, 3]


@pytest.mark.parametrize("path", ["letters", "letters/payments/0/1"])
@pytest.mark.parametrize(
    "query",
    [
        "done=Call+555-1234",
        "done=Call+555-1234&letters=1",
        "done=drop&letters=Call+555-1234",
        "done=drop&letters=%D9%A1",
        "done=drop",
        "done=drop&letters=1&back=Call+555-1234",
        "done=mended+Call+555-1234",
        "fault=Call+555-1234",
    ],
)
async def test_no_text_of_an_address_is_shown_as_the_consoles_own(path: str, query: str) -> None:
    text = (await asked(world_of(letter(1)), f"{path}?{query}")).text
    assert ("555-1234" in text, "note bad" in text) == (False, False)
    assert re.findall(r'note good" role="status">(.*?)<', text) in ([], ["1 letter dropped."])
    assert "note good" not in text or (path == "letters" and "letters=1&back" in query)


async def test_all_open_ones_are_dropped_at_once() -> None:
    world = world_of(*(letter(number) for number in range(5)))
    answer = await posted(world, "letters", deed="drop", every="1", why="garbage of a test")
    assert (
        "5 letters dropped."
        in (await asked(world, answer.headers["location"].removeprefix("/console/"))).text
    )
    assert len(world.letters.actions) == 5


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"deed": "drop", "letter": "payments/0/1"}, "Say why they are dropped"),
        ({"deed": "requeue"}, "Choose letters"),
        ({"deed": "burn", "letter": "payments/0/1"}, "Choose letters"),
        ({"deed": "requeue", "letter": "payments/0/9"}, "There is no dead letter at payments/0/9"),
    ],
)
async def test_a_deed_that_makes_no_sense_is_refused(form: dict[str, str], says: str) -> None:
    world = world_of(letter(1))
    answer = await posted(world, "letters", **form)
    assert (answer.status_code, says in answer.text) == (409, True)
    assert world.letters.actions == []


async def test_a_letter_that_was_handled_is_handled_again_only_if_that_is_meant() -> None:
    world = world_of(letter(1))
    await posted(world, "letters", deed="requeue", letter="payments/0/1")
    answer = await posted(world, "letters", deed="requeue", letter="payments/0/1")
    assert (answer.status_code, "was requeued by acme, key" in answer.text) == (409, True)
    assert (
        await posted(world, "letters", deed="requeue", letter="payments/0/1", again="1")
    ).status_code == 303


async def test_while_kafka_is_away_nothing_is_written_down() -> None:
    world = world_of(letter(1))
    world.topic.away = True
    answer = await posted(world, "letters", deed="requeue", letter="payments/0/1")
    edited = await posted(world, "letters/payments/0/1", value=encoded(body()).decode())
    assert (answer.status_code, edited.status_code, world.letters.actions) == (503, 503, [])
