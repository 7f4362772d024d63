"""`ledger provider` and `ledger verify --provider-book` on a real provider: set, checked, compared, forgotten."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app
from tests.end_to_end.books import Books
from tests.provider import SECRET, Simulator

NEW = ("acme/new", "--url", "https://x.example", "--make-secret")
CALLED = ("--network", "127.0.0.0/8", "--plain-http")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book.db").start()
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "providing", tmp_path_factory.mktemp("providing")) as books:
        yield books


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("secrets") / "secrets"
    path.write_bytes(SECRET + b"\n")
    return str(path)


def run(books: Books, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, env=books.environment, input=given)


def report(books: Books, *arguments: str, given: str | None = None) -> Any:
    done = run(books, "provider", *arguments, "--json", given=given)
    assert done.exception is None or done.exit_code, done.exception
    return json.loads(done.stdout)


def test_a_provider_is_set_checked_and_changed(books: Books, simulator: Simulator, secrets: str) -> None:
    stored = report(books, "set", "acme/one", "--url", simulator.url, "--secrets", secrets, *CALLED)
    assert (stored["hosts"], stored["slots"]) == (["127.0.0.1"], 32)
    assert report(books, "check", "acme/one")["found"] == "good"
    changed = report(books, "set", "acme/one", "--slots", "7", "--when-down", "decline")
    assert (changed["url"], changed["slots"], changed["when_down"]) == (simulator.url, 7, "decline")
    assert report(books, "check", "acme/one")["ok"]


def test_a_secret_is_shown_when_it_is_made_and_never_again(books: Books, simulator: Simulator) -> None:
    made = report(books, "set", "acme/two", "--url", simulator.url, "--make-secret", *CALLED)["secret"]
    assert report(books, "check", "acme/two")["found"] == "signature_refused"
    kept = (SECRET + b"\n").decode()
    report(books, "set", "acme/two", "--secrets", "-", "--keep-secrets", given=kept)
    assert report(books, "show", "acme/two")["secrets"] == 2
    assert report(books, "check", "acme/two")["ok"]
    said = [run(books, "provider", *words).stdout for words in (["list"], ["show", "acme/two"], ["reseal"])]
    assert "acme/two" in said[0] + said[1]
    assert not any(secret in each for secret in (made, SECRET.decode()) for each in said)


async def test_nothing_of_a_secret_is_in_the_table(books: Books) -> None:
    rows = await books.sql("select p::text as told from providers p")
    assert not any(SECRET.decode() in row["told"] for row in rows)


def test_a_provider_that_is_away_or_forgotten_is_told(books: Books) -> None:
    report(books, "set", "acme/away", "--url", "http://127.0.0.1:9", "--make-secret", *CALLED)
    done = run(books, "provider", "check", "acme/away")
    assert (done.exit_code, "No connection" in done.stdout) == (1, True)
    assert report(books, "remove", "acme/away", "--yes")["removed"]
    assert [run(books, "provider", verb, "acme/away").exit_code for verb in ("check", "show")] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acme"], "TENANT/NAME"),
        (["acme/ledger:x", "--url", "https://x.example"], "TENANT/NAME"),
        (["acme/new", "--make-secret"], "--url says where"),
        (["acme/new", "--url", "https://x.example"], "no secret"),
        (["acme/new", "--url", "https://[::", "--make-secret"], "--url is no URL"),
        (["acme/new", "--url", "https://x]", "--make-secret", "--host", "x"], "cannot be called so"),
        (["acme/new", "--url", "http://x.example", "--make-secret"], "called by https"),
        (["acme/new", "--url", "https://127.0.0.1", "--make-secret"], "not a public address"),
        (["acme/new", "--url", "https://x.example", "--make-secret", "--when-down", "weep"], "when_down"),
        (["acme/new", "--url", "https://x.example", "--secrets", "nowhere"], "nowhere cannot be read"),
        (["acme/new", "--url", "https://x.example", "--secrets", "-", "--make-secret"], "one or the other"),
        (["acme/new", "--url", "https://x.example", "--secrets", "-"], "less than 16 bytes"),
        ([*NEW, "--total-timeout", "0"], "total_timeout_s is"),
        ([*NEW, "--connect-timeout", "nan"], "connect_timeout_s is"),
        ([*NEW, "--total-timeout", "30"], "less than 30 s"),
        ([*NEW, "--connect-timeout", "11"], "not be more than --total-timeout"),
        ([*NEW, "--total-timeout", "1.5"], "may take 2 s, and a call 1.5 s"),
        ([*NEW, "--slots", "1001"], "less than or equal to 1000"),
    ],
)
def test_settings_that_cannot_be_are_refused(books: Books, arguments: list[str], said: str) -> None:
    done = run(books, "provider", "set", *arguments, given="short")
    assert (done.exit_code, said in done.stderr) == (2, True), done.output


def line(**changes: Any) -> bytes:
    payment = "01a1fd8c-6900-77dc-a235-639215ca5234"
    facts = {
        "key": f"acme:{payment}:charge",
        "kind": "charge",
        "tenant": "acme",
        "payment": payment,
        "amount": 5,
        "asset": "USD/2",
        "state": "accepted",
    }
    return json.dumps({**facts, **changes}).encode() + b"\n"


def test_a_book_that_is_given_is_compared(books: Books, tmp_path: Path) -> None:
    book = tmp_path / "book.jsonl"
    book.write_bytes(line() + line(tenant="rival"))
    done = run(books, "verify", "--provider-book", f"acme/one={book}", "--json")
    sagas = next(each for each in json.loads(done.stdout)["checks"] if each["name"] == "sagas")
    assert (done.exit_code, sagas["checked"]) == (1, 1)
    assert [(each["what"], each["book"]) for each in sagas["violations"]] == [
        ("provider's line: it belongs to no payment", str(book))
    ]


def test_an_empty_book_at_an_address_is_compared(books: Books, simulator: Simulator) -> None:
    done = run(books, "verify", "--provider-book", f"acme/one={simulator.url}/book/lines", "--json")
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("acme/one", 2, "TENANT/NAME=FILE_OR_URL"),
        ("acme/one=nowhere.jsonl", 2, "nowhere.jsonl cannot be read: No such file"),
        ("acme/one=http://127.0.0.1:9/book", 3, "The book of the provider at http://127.0.0.1:9/book"),
        ("acme/one={}", 2, "line 2 is no line"),
    ],
)
def test_a_book_that_cannot_be_read_is_told(
    books: Books, tmp_path: Path, given: str, code: int, said: str
) -> None:
    book = tmp_path / "book.jsonl"
    book.write_bytes(line() + b"{}\n")
    done = run(books, "verify", "--provider-book", given.format(book))
    assert (done.exit_code, said in done.stderr) == (code, True), done.output
