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

    async def report(self, *arguments: str) -> dict[str, Any]:
        done = await self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
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
    assert (first.key, first.value, tuple(first.headers)) == (KEY, BYTES, HEADERS)
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
    assert (await books.verdict()).ok


async def test_what_came_back_is_a_new_letter(desk: Desk, letters: list[str]) -> None:
    everything = (await desk.report("list", "--all"))["letters"]
    states = {each["letter"]: each["state"] for each in everything}
    assert [states.pop(each) for each in letters] == ["requeued", "dropped", "requeued"]
    assert list(states.values()) == ["open", "open"]
