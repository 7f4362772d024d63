"""`ledger dlq` on real servers: what could not be an event is listed, shown, mended, sent again, or dropped."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ledger.adapters.system import new_event_id
from streams.cli import app
from streams.transport.publisher import Outgoing
from tests.end_to_end.books import Books, transfer
from tests.end_to_end.command import PROGRAM

KEY, HEADERS = b"\xffkey", (("trace", b"\xfe"), ("trace", None))
BYTES = b'\xff{"type":"transfer.post.v9"}\x1b[2J'


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books whose worker has set three records aside: bytes, a tombstone, and one that is too large."""
    async with Books.open(kafka, postgres_dsn, "dlq", tmp_path_factory.mktemp("dlq")) as books:
        topic = books.settings.payments_topic
        values = [BYTES, None, b"x" * (books.settings.record_bytes_max + 1)]
        await books.publisher.publish([Outgoing(topic, KEY, value, HEADERS) for value in values])
        async with books.worker():
            await books.until_handled(3)
        yield books


class Desk:
    """`ledger dlq` in this process, which spares the second or two that a start takes."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def run(self, *arguments: str) -> Result:
        def invoke() -> Result:
            return CliRunner().invoke(app, ["dlq", *arguments], env=self._environment)

        # A command runs a loop of its own.
        return await asyncio.to_thread(invoke)

    async def report(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = await self.run(*arguments, "--json")
        assert done.exit_code == code, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    async def listed(self, *arguments: str) -> list[str]:
        return [each["letter"] for each in (await self.report("list", *arguments))["letters"]]


@pytest.fixture
def desk(books: Books) -> Desk:
    return Desk(books.environment)


@pytest.fixture(scope="module")
async def letters(books: Books) -> list[str]:
    """The places of the three, in the order of sending."""
    rows = await books.sql('select topic, partition, "offset" from dead_letters order by 3')
    return ["/".join(map(str, row)) for row in rows]


async def sent_again(books: Books) -> list[Any]:
    """What was written to the topic of payments after the first three records."""
    return (await books.records(books.settings.payments_topic))[3:]


async def test_letters_are_listed_and_narrowed(desk: Desk, letters: list[str]) -> None:
    report = await desk.report("list", "--limit", "2", "--since", "1h")
    assert ([each["letter"] for each in report["letters"]], report["next"]) == (letters[:2], letters[1])
    assert [each["state"] for each in report["letters"]] == ["open", "open"]
    assert await desk.listed("--after", letters[1], "--reason", "too_large") == letters[2:]
    table = (await desk.run("list")).stdout
    assert all(letter in table for letter in letters)


def test_letter_is_written_with_its_exact_bytes(books: Books, letters: list[str]) -> None:
    done = subprocess.run(
        [*PROGRAM, "dlq", "show", letters[0], "--raw"],
        env={**os.environ, **books.environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == BYTES


async def test_letter_is_shown_without_steering_the_terminal(desk: Desk, letters: list[str]) -> None:
    shown = (await desk.run("show", letters[0])).stdout
    assert "00000000  ff 7b 22" in shown
    assert "\x1b" not in shown


async def test_letter_is_told_with_key_and_headers(desk: Desk, letters: list[str]) -> None:
    facts = await desk.report("show", letters[0])
    assert (facts["reason"], facts["key"], len(facts["headers"])) == (
        "malformed_json",
        {"base64": "/2tleQ=="},
        2,
    )
    assert base64.b64decode(facts["value"]["base64"]) == BYTES


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "dlq.payments/0/999"), 1, "There is no dead letter at dlq.payments/0/999."),
        (("list", "--after", "dlq.payments/0/999"), 1, "There is no dead letter at dlq.payments/0/999."),
        (("list", "--topic", "nosuch"), 2, "These books have read no topic nosuch; they read dlq.payments."),
        (("list", "--partition", "99"), 2, "These books have read no partition 99 of dlq.payments."),
        (("requeue", "--partition", "99", "--yes"), 2, "These books have read no partition 99"),
        (("show", "nonsense"), 2, "TOPIC/PARTITION/OFFSET"),
        (("requeue",), 2, "Name letters"),
        (("requeue", "dlq.payments/0/0", "--reason", "too_large"), 2, "one or the other"),
        (("requeue", "--reason", "too_large"), 2, "1 letter would be requeued. Repeat it with --yes"),
        (("requeue", "--reason", "too_large", "--yes", "--edit", "x"), 2, "--edit goes with one letter"),
        (("requeue", "dlq.payments/0/0", "--edit", "not-there.json"), 2, "not-there.json cannot be read"),
        (("drop", "--since", "long ago", "--why", "x"), 2, "is no moment"),
        (("drop", "dlq.payments/0/0", "--yes"), 2, "--why"),
        (("drop", "dlq.payments/0/0", "--yes", "--why", " "), 2, "--why is empty"),
    ],
)
async def test_wrong_use_is_told(desk: Desk, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = await desk.run(*arguments)
    assert (done.exit_code, said in done.stderr) == (code, True), done.output


async def test_kafka_away_leaves_the_letter_open(books: Books, letters: list[str]) -> None:
    away = Desk({**books.environment, "LEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:9"})
    assert (await away.run("requeue", letters[0])).exit_code == 3
    assert await away.listed() == letters


async def test_dropped_letter_is_no_longer_open(desk: Desk, letters: list[str]) -> None:
    _, tombstone, _ = letters
    dropped = await desk.report("drop", tombstone, "--why", "a tombstone of a test", "--yes")
    assert dropped == {"dropped": 1, "letters": [tombstone], "not_events": []}
    assert tombstone not in await desk.listed()
    action = (await desk.report("show", tombstone))["action"]
    assert (action["action"], action["why"], bool(action["by"])) == ("dropped", "a tombstone of a test", True)


async def test_letters_are_sent_again_as_they_came(books: Books, desk: Desk, letters: list[str]) -> None:
    garbage, _, large = letters
    done = await desk.report("requeue", "--since", "1h", "--yes")
    assert (done["letters"], done["not_events"]) == ([garbage, large], [garbage, large])
    first, second = await sent_again(books)
    link = ("ledger-dead-letter", garbage.encode())
    assert (first.key, first.value, tuple(first.headers)) == (KEY, BYTES, (*HEADERS, link))
    assert len(second.value) == books.settings.record_bytes_max + 1
    assert await desk.listed() == []


async def test_mended_letter_is_posted_once_though_sent_twice(
    books: Books, desk: Desk, letters: list[str], tmp_path: Path
) -> None:
    mended, event_id = tmp_path / "mended.json", new_event_id()
    mended.write_bytes(b"still no event")
    assert (await desk.run("requeue", letters[0], "--again", "--edit", str(mended))).exit_code == 2
    mended.write_bytes(transfer("external:bank", "mended", 1250, event_id))
    assert (await desk.run("requeue", letters[0], "--edit", str(mended))).exit_code == 1
    # As if the first try had ended before it was written down.
    for _ in range(2):
        await desk.report("requeue", letters[0], "--again", "--edit", str(mended))

    async with books.worker():
        outcomes = await books.until_answered({event_id})
        await books.until_handled(len(letters) + len(await sent_again(books)))
    assert outcomes[event_id]["event.posted.v1"] == 1
    assert (await books.balances())["mended"] == 1250
    assert await books.violations() == {}


async def test_what_came_back_is_a_new_letter(desk: Desk, letters: list[str]) -> None:
    everything = (await desk.report("list", "--all"))["letters"]
    states = {each["letter"]: each["state"] for each in everything}
    assert [states.pop(each) for each in letters] == ["requeued", "dropped", "requeued"]
    assert list(states.values()) == ["open", "open"]
    came_back = {each["origin"]: each for each in everything if each["state"] == "open"}
    assert {name: each["tries"] for name, each in came_back.items()} == {letters[0]: 2, letters[2]: 2}
    newer = came_back[letters[0]]["letter"]
    assert [each["letter"] for each in (await desk.report("show", letters[0]))["came_of"]] == [newer]
    shown = (await desk.run("show", newer)).stdout
    assert "tries     2" in shown
    assert f"was       {letters[0]}, requeued: malformed_json" in shown


async def test_requeue_that_fails_again_says_so(books: Books, desk: Desk, letters: list[str]) -> None:
    [again] = await desk.listed("--reason", "malformed_json")
    async with books.worker():
        done = await desk.run("requeue", again, "--wait", "30")
    assert (done.exit_code, f"{again}: came back as " in done.stdout) == (1, True), done.output
    [newest] = (await desk.report("list", "--reason", "malformed_json"))["letters"]
    assert (newest["origin"], newest["tries"]) == (again, 3)
    assert [each["letter"] for each in (await desk.report("show", newest["letter"]))["was"]] == [
        letters[0],
        again,
    ]


async def test_what_nobody_has_handled_yet_is_told(desk: Desk) -> None:
    [newest] = await desk.listed("--reason", "malformed_json")
    done = await desk.run("requeue", newest, "--wait", "0.2")
    assert (done.exit_code, f"{newest}: not handled yet" in done.stdout) == (1, True), done.output


@pytest.fixture(scope="module")
async def float_letter(books: Books) -> tuple[str, str]:
    """A letter whose amount is a float, and the id of the event that it nearly is."""
    event_id = new_event_id()
    value = transfer("external:bank", "edited", 100, event_id).replace(b":100", b":1.00")
    await books.publisher.publish([Outgoing(books.settings.payments_topic, None, value)])
    async with books.worker():
        await books.until_handled(len(await books.records(books.settings.payments_topic)))
    [row] = await books.sql(
        'select topic, "partition", "offset" from dead_letters where reason = $1', "invalid_data"
    )
    return "/".join(map(str, row)), event_id


async def test_letter_that_is_no_event_after_all_is_not_sent(
    books: Books, desk: Desk, float_letter: tuple[str, str]
) -> None:
    letter, _ = float_letter
    sent = len(await books.records(books.settings.payments_topic))
    for arguments, said in (
        (("--set", "data.amount=1.5"), "That is no event either: invalid_data"),
        (("--set", "date.amount=1"), "it has no date"),
        (("--set", "data.amount"), "PATH=VALUE"),
        ((), "An editor needs a terminal"),
    ):
        done = await desk.run("edit", letter, *arguments)
        assert (done.exit_code, said in done.stderr) == (2, True), done.output
    assert len(await books.records(books.settings.payments_topic)) == sent


async def test_letter_is_mended_member_by_member_and_posted(
    books: Books, desk: Desk, float_letter: tuple[str, str]
) -> None:
    letter, event_id = float_letter
    async with books.worker():
        found = await desk.report(
            "edit", letter, "--set", "data.amount=150", "--why", "a float", "--wait", "30"
        )
    [fate] = found["came_of"]
    assert (fate["letter"], fate["became"]) == (letter, "posted")
    assert (await books.balances())["edited"] == 150
    sent_as = (await desk.report("show", letter))["sent_as"]
    assert (sent_as["event"], sent_as["stands"]) == (event_id, "posted")
    assert f"/{event_id}, posted at " in (await desk.run("show", letter)).stdout
    rows = await books.sql("select kind from processed_events where event_id = $1::uuid", event_id)
    assert [row["kind"] for row in rows] == ["posted"]
    again = await desk.run("edit", letter, "--set", "data.amount=150")
    assert (again.exit_code, "requeued by" in again.stderr, "edit --again" in again.stderr) == (1, True, True)
    async with books.worker():
        repeated = await desk.report("requeue", letter, "--again", "--wait", "30", code=1)
    assert repeated["came_of"][0]["reason"] == "invalid_data"
    assert await books.violations() == {}


async def test_what_was_posted_before_is_told_as_that(
    books: Books, desk: Desk, float_letter: tuple[str, str]
) -> None:
    async with books.worker():
        found = await desk.report(
            "edit", float_letter[0], "--again", "--set", "data.amount=150", "--wait", "30"
        )
        other = await desk.report(
            "edit", float_letter[0], "--again", "--set", "data.amount=151", "--wait", "30"
        )
    assert found["came_of"][0]["became"] == "duplicate"
    assert (other["came_of"][0]["became"], other["came_of"][0]["reason"]) == ("rejected", "event_id_reused")
