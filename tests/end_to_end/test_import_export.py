"""A bank's CSV imported twice through Kafka and a worker is posted once; what is exported adds up."""

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from ledger.application.exports import ExportQuery, What
from streams.export_formats import Format
from streams.exporting import export, exports
from tests.end_to_end.books import Books

ROWS = 400

pytestmark = pytest.mark.slow


class Desk:
    """Commands on the books of these tests."""

    def __init__(self, books: Books) -> None:
        self.books = books

    async def run(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "streams.cli", *arguments],
            env={**os.environ, **self.books.environment},
            capture_output=True,
            timeout=60,
            check=False,
        )

    async def exported(self, what: str, **narrowed: Any) -> list[dict[str, Any]]:
        moments: dict[str, Any] = {
            name: datetime.fromisoformat(narrowed.pop(name))
            for name in ("since", "before", "at")
            if name in narrowed
        }
        query = ExportQuery(What(what), **narrowed, **moments)
        file = io.BytesIO()
        async with exports(self.books.settings) as books:
            await export(books, query, Format.JSON_LINES, file, lambda count: None)
        return [json.loads(line) for line in file.getvalue().splitlines()]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "importing", tmp_path_factory.mktemp("importing")) as books:
        yield books


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Movements of a few accounts, some of them the same."""
    chance, path = Random(7), tmp_path_factory.mktemp("csv") / "rows.csv"
    lines = [f"A{chance.randint(1, 4)},KB,{chance.choice(['1.00', '2.50', '1000'])},in" for _ in range(ROWS)]
    path.write_text("\n".join(["account,partner,amount,way", *lines]))
    return path


def arguments(path: Path) -> tuple[str, ...]:
    return (
        *(
            "import",
            str(path),
            "--source",
            "bank",
            "--tenant",
            "acme",
            "--at",
            f"{datetime.now(UTC):%Y-%m-%d}",
        ),
        *("--column", "amount=amount", "--decimals", "2", "--value", "asset=CZK/2"),
        *("--value", "debit=external:{partner}", "--value", "credit=customer:{account}", "--json"),
    )


@pytest.fixture(scope="module")
async def desk(books: Books, statements: Path) -> Desk:
    """After the same file was imported twice."""
    desk = Desk(books)
    async with books.worker(LEDGER_BATCH_RECORDS_MAX="40"):
        for times in (1, 2):
            done = await desk.run(*arguments(statements))
            assert done.returncode == 0, done.stderr
            await books.until_handled(times * ROWS)
    return desk


async def test_second_import_changes_nothing(desk: Desk) -> None:
    balances = await desk.exported("balances")
    assert sum(each["version"] for each in balances) == 2 * ROWS
    assert await desk.books.violations() == {}


async def test_entries_add_up_to_balances(desk: Desk) -> None:
    balances = {each["account"]: each["balance"] for each in await desk.exported("balances")}
    entries = await desk.exported("entries")
    sums = dict.fromkeys(balances, 0)
    for entry in entries:
        sums[entry["account"]] += entry["amount"]
    assert (len(entries), sums) == (2 * ROWS, balances)
    assert [(each["account"], each["version"]) for each in entries] == sorted(
        (each["account"], each["version"]) for each in entries
    )


async def test_parts_of_time_join(desk: Desk) -> None:
    entries = await desk.exported("entries", account="customer:A1")
    middle = entries[len(entries) // 2]["posted_at"]
    early = await desk.exported("entries", account="customer:A1", before=middle)
    late = await desk.exported("entries", account="customer:A1", since=middle)
    assert early + late == entries
    assert late[0]["posted_at"] == middle > early[-1]["posted_at"]


async def test_statement_opens_and_closes_with_what_stood(desk: Desk) -> None:
    entries = await desk.exported("entries", account="external:KB", tenant="acme")
    middle = entries[len(entries) // 2]["posted_at"]
    opening, *lines, closing = await desk.exported(
        "statement", tenant="acme", account="external:KB", since=middle
    )
    assert (opening["line"], closing["line"], {each["line"] for each in lines}) == (
        "opening",
        "closing",
        {"entry"},
    )
    moved = sum(each["credit"] - each["debit"] for each in lines)
    assert opening["balance"] + moved == closing["balance"] == entries[-1]["balance"]
    before = await desk.exported("entries", account="external:KB", before=middle)
    assert opening["balance"] == (before[-1]["balance"] if before else 0)


async def test_balances_of_a_time_are_those_of_its_entries(desk: Desk) -> None:
    entries = await desk.exported("entries")
    at = sorted(each["posted_at"] for each in entries)[len(entries) // 2]
    expected = {each["account"]: each["balance"] for each in entries if each["posted_at"] <= at}
    found = await desk.exported("balances", at=at)
    assert {each["account"]: each["balance"] for each in found} == expected
    [total] = await desk.exported("trial-balance", at=at)
    assert (total["difference"], total["held"]) == (0, None)
    assert total["posted_credits"] == sum(each["posted_credits"] for each in found)


async def test_trial_balance_is_zero(desk: Desk) -> None:
    [total] = await desk.exported("trial-balance")
    assert (total["tenant"], total["asset"], total["difference"]) == ("acme", "CZK/2", 0)


async def test_formats_agree(desk: Desk, tmp_path: Path) -> None:
    rows = await desk.exported("entries")
    as_csv = await desk.run("export", "entries")
    read = list(csv.DictReader(io.StringIO(as_csv.stdout.decode(), newline="")))
    assert [each["amount"] for each in read] == [str(each["amount"]) for each in rows]
    out = tmp_path / "entries.parquet"
    await desk.run("export", "entries", "--format", "parquet", "--out", str(out))
    assert pq.read_table(out).column("amount").to_pylist() == [each["amount"] for each in rows]


@pytest.mark.parametrize("narrowed", [("--tenant", "nobody"), ("--tenant", "acme", "--account", "nobody")])
async def test_who_is_not_there_is_told(desk: Desk, tmp_path: Path, narrowed: tuple[str, ...]) -> None:
    done = await desk.run("export", "balances", *narrowed, "--out", str(tmp_path / "x"))
    assert (done.returncode, b"There is no" in done.stderr) == (1, True)
