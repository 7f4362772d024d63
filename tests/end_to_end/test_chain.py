"""The audit chain of a running ledger: what a superuser does to the books is found, at the place."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest

from ledger.adapters.postgres.chain import PostgresChainSnapshot
from ledger.adapters.system import new_event_id
from ledger.domain.audit import Check
from ledger.domain.chain import extend, first_head
from tests.end_to_end.books import WAIT_S, Books, event, transfer
from tests.end_to_end.command import Ledger
from tests.end_to_end.planting import planted

CHAIN = ("worker", "chain-transactions")
IDS = [new_event_id() for _ in range(12)]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books with twelve transactions in their chain, of which a worker was killed, and no worker any more."""
    async with Books.open(kafka, postgres_dsn, "chained", tmp_path_factory.mktemp("chained")) as books:
        events = [transfer("external:bank", "ann", 1000 + number, each) for number, each in enumerate(IDS)]
        async with books.worker() as poster:
            await books.send(events[:6], keys=[b"one"] * 6)
            await books.until_handled(6)
            async with books.worker(arguments=CHAIN) as killed:
                await until_linked(books, 6)
                assert await killed.end(signal.SIGKILL) == -signal.SIGKILL
            more = [*events[6:], event("account.close.v1", {"account": "nobody"})]
            await books.send(more, keys=[b"one"] * len(more))
            async with books.worker(arguments=CHAIN) as chainer:
                await until_linked(books, 12)
                await until_complete(books)
                assert await chainer.end() == 0, chainer.log
            assert await poster.end() == 0, poster.log
        yield books


async def until_linked(books: Books, count: int) -> None:
    deadline = monotonic() + WAIT_S
    while (found := (await books.sql("select count(*) from chain_links"))[0][0]) < count:
        assert monotonic() < deadline, f"{found} of {count} transactions are linked"
        await asyncio.sleep(0.05)


async def until_complete(books: Books) -> None:
    """Wait until a sweep has seen all that was posted."""
    deadline = monotonic() + WAIT_S
    query = "select coalesce((select complete_before from chain_progress) > max(posted_at), false) from transactions"
    while not (await books.sql(query))[0][0]:
        assert monotonic() < deadline, "no sweep came so far"
        await asyncio.sleep(0.05)


async def test_every_transaction_is_linked_once_in_the_order_of_the_stream(books: Books) -> None:
    rows = await books.sql("select number, event_id::text from chain_links order by number")
    assert [tuple(row) for row in rows] == list(enumerate(IDS, start=1))


async def chain_check(books: Books) -> Check:
    return next(each for each in (await books.verdict()).checks if each.name == "chain")


async def test_untouched_chain_holds(books: Books) -> None:
    check = await chain_check(books)
    assert (check.ok, check.checked) == (True, len(IDS))


def of(number: int) -> str:
    """The row of the transaction with that link."""
    return f"event_id = '{IDS[number - 1]}'"


ASIDE = "'0199aaaa-0000-7000-8000-000000000001'"


def swapped(table: str) -> str:
    steps = ((of(3), ASIDE), (of(8), f"'{IDS[2]}'"), (f"event_id = {ASIDE}", f"'{IDS[7]}'"))
    return "; ".join(f"update {table} set event_id = {to} where {where}" for where, to in steps)


def forged() -> str:
    """Insert a copy of a transaction, long after the fact."""
    lines = (
        f"insert into entries select tenant_id, balance_id, version + 1000, {ASIDE}, line, asset, amount, "
        f"posted_debits, posted_credits, posted_at from entries where {of(5)}"
    )
    row = (
        f"insert into transactions select {ASIDE}, tenant_id, type, posted_at, effective_at from transactions "
        f"where {of(5)}"
    )
    return f"{row}; {lines}"


Places = list[tuple[str, int | None, str | None]]

DEEDS: dict[str, tuple[str, Places]] = {
    "an amount": (
        f"update entries set amount = amount * 2 where {of(5)}",
        [("the transaction was changed", 5, IDS[4])],
    ),
    "a transaction that is gone": (
        f"delete from entries where {of(5)}; delete from transactions where {of(5)}",
        [("the transaction is gone", 5, IDS[4])],
    ),
    "two transactions swapped": (
        f"{swapped('transactions')}; {swapped('entries')}",
        [("the transaction was changed", 3, IDS[2]), ("the transaction was changed", 8, IDS[7])],
    ),
    "a transaction put in": (forged(), [("the transaction has no link", None, ASIDE.strip("'"))]),
    "a link that is gone": (
        "delete from chain_links where number = 5",
        [("links are missing from here on", 5, None), ("the transaction has no link", None, IDS[4])],
    ),
    "the whole chain": (
        "delete from chain_links",
        [
            ("links are missing from here on", 1, None),
            *(("the transaction has no link", None, each) for each in sorted(IDS)),
        ],
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
async def test_what_a_superuser_did_is_found_at_its_place(books: Books, deed: str) -> None:
    script, places = DEEDS[deed]
    async with planted(books, script):
        found = (await chain_check(books)).violations
    # Those of one batch were posted at one time, and come by their ids.
    assert (
        sorted(((each["what"], each.get("number"), each.get("event")) for each in found), key=str) == places
    )


# With checkpoints


class Desk:
    """Where an auditor keeps a key and checkpoints."""

    def __init__(self, directory: Path, books: Books) -> None:
        self.key = directory / "audit.key"
        self.checkpoints = directory / "checkpoints"
        self._ledger = Ledger(directory, books.environment)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        where = () if arguments[0] == "key" else ("--checkpoints", str(self.checkpoints))
        return self._ledger.run("chain", *arguments, *where)

    def verify(self) -> tuple[int, list[tuple[str, str, int]]]:
        done = self.run("verify", "--public-key", f"{self.key}.pub", "--json")
        checks = json.loads(done.stdout)["checks"]
        return done.returncode, [
            (check["name"], each["what"], each["number"]) for check in checks for each in check["violations"]
        ]


@pytest.fixture(scope="module")
def desk(books: Books, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A checkpoint of the chain as it was left."""
    desk = Desk(tmp_path_factory.mktemp("desk"), books)
    assert desk.run("key", str(desk.key)).returncode == 0
    done = desk.run("export", "--key", str(desk.key), "--json")
    assert json.loads(done.stdout)["checkpoint"]["links"] == len(IDS), done.stderr
    return desk


async def write_anew(books: Books) -> None:
    """Make the chain fit the books again, as somebody would who knows how it is made."""
    connection: Any = await asyncpg.connect(
        books.settings.postgres_dsn, server_settings={"search_path": books.settings.postgres_schema}
    )
    try:
        await connection.execute("set session_replication_role = replica")
        snapshot = await PostgresChainSnapshot.of(connection)
        found = await snapshot.linked("acme", 0, 100)
        rows = [transaction for _, transaction in found if transaction is not None]
        links = extend("acme", first_head("acme"), rows)
        tenant_id = await connection.fetchval("select tenant_id from tenants where code = 'acme'")
        await connection.execute("delete from chain_links")
        await connection.copy_records_to_table(
            "chain_links",
            records=[
                (tenant_id, link.number, link.event_id, link.digest, link.hash, link.late) for link in links
            ],
        )
        await connection.execute(
            "update chain_heads set number = $1, hash = $2", links[-1].number, links[-1].hash
        )
    finally:
        await connection.close()


ANEW = {
    "an amount": (DEEDS["an amount"][0], ("the transaction is not what was exported", 5)),
    "a transaction that is gone": (
        DEEDS["a transaction that is gone"][0],
        ("another transaction stands here", 5),
    ),
}


@pytest.mark.parametrize("deed", ANEW)
async def test_chain_written_anew_is_not_what_was_exported(books: Books, desk: Desk, deed: str) -> None:
    script, (what, number) = ANEW[deed]
    async with planted(books, script):
        await write_anew(books)
        assert (await chain_check(books)).ok
        found = await asyncio.to_thread(desk.verify)
        again = await asyncio.to_thread(desk.run, "export", "--key", str(desk.key))
    assert found == (1, [("checkpoints", what, number)])
    assert (again.returncode, "Nothing was exported" in again.stderr) == (1, True)


async def test_nothing_is_exported_of_a_chain_whose_head_was_moved(books: Books, desk: Desk) -> None:
    async with planted(books, "update chain_heads set number = 5"):
        done = await asyncio.to_thread(desk.run, "export", "--key", str(desk.key))
    assert (done.returncode, "does not end as its head says, with link 5" in done.stderr) == (1, True)


def test_untouched_chain_is_as_it_was_exported(desk: Desk) -> None:
    assert desk.verify() == (0, [])


def test_nothing_new_is_no_checkpoint(desk: Desk) -> None:
    done = desk.run("export", "--key", str(desk.key))
    assert (done.returncode, "Nothing was posted" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify",), "--public-key"),
        (("verify", "--public-key", "no-such-file"), "no-such-file"),
        (("export", "--key", "{key}.pub"), "no private key"),
        (("key", "{key}"), "File exists"),
    ],
)
def test_wrong_use_is_told(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    done = desk.run(*(each.format(key=desk.key) for each in arguments))
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
