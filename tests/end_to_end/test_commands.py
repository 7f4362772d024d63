"""The commands as their users run them: exit codes, refusals by line, outcomes shown."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.application.reports import VERIFICATION, decode_verification
from tests.end_to_end.books import Books, transfer
from tests.end_to_end.command import Ledger

PAYMENT = {
    "type": "transfer.post.v1",
    "tenant": "acme",
    "data": {"debit": "external:bank", "credit": "customer:ann", "amount": 1250, "asset": "USD/2"},
}


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with (
        Books.open(kafka, postgres_dsn, "commands", tmp_path_factory.mktemp("commands")) as books,
        books.worker(),
    ):
        yield books


@pytest.fixture
def ledger(books: Books, tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, books.environment)


def written(directory: Path, *lines: bytes) -> str:
    path = directory / "events.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


def test_first_payment_is_answered(ledger: Ledger, tmp_path: Path) -> None:
    file = written(tmp_path, orjson.dumps(PAYMENT))
    report = ledger.report("send", "--fill", "--wait", "60", file)
    [outcome] = report["outcomes"].values()
    assert report["summary"] == {"posted": 1, "duplicate": 0, "rejected": 0, "reasons": {}}
    assert outcome["type"] == "event.posted.v1"
    assert outcome["data"]["entries"][1]["account"] == "customer:ann"


async def test_wrong_line_is_named_and_nothing_is_sent(books: Books, ledger: Ledger, tmp_path: Path) -> None:
    good, wrong = transfer("external:bank", "never:sent", 5), b'{"specversion":"1.0"}'
    done = ledger.run("send", written(tmp_path, good, b"", wrong))
    assert (done.returncode, "events.jsonl:3: invalid_envelope" in done.stderr) == (1, True)
    assert "never:sent" not in await books.balances()


def test_wrong_lines_can_be_skipped(ledger: Ledger, tmp_path: Path) -> None:
    good = transfer("external:bank", "customer:bob", 5)
    report = ledger.report("send", "--skip-invalid", "--wait", "60", written(tmp_path, good, b"nonsense"))
    assert (report["sent"], report["refused_lines"][0]["line"], len(report["outcomes"])) == (1, 2, 1)


def test_missing_file_is_used_wrongly(ledger: Ledger) -> None:
    assert ledger.run("send", "no-such-file.jsonl").returncode == 2


def test_no_stack_is_a_service_away(tmp_path: Path) -> None:
    done = Ledger(tmp_path / "nowhere").run("verify")
    assert (done.returncode, "`ledger up`" in done.stderr) == (3, True)


def test_verify_prints_the_contracts_shape_and_keeps_its_verdict(books: Books, ledger: Ledger) -> None:
    done = ledger.run("verify", "--json")
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, verdict["ok"]) == (0, True)
    assert [sorted(check) for check in verdict["checks"]] == [["checked", "name", "ok", "violations"]] * 9
    kept = decode_verification((books.directory / "reports" / VERIFICATION).read_bytes())
    assert kept is not None
    assert [check.name for check in kept.checks] == [check["name"] for check in verdict["checks"]]


async def test_verify_finds_and_names_a_changed_row(books: Books, ledger: Ledger) -> None:
    change = "update balances set posted_credits = posted_credits {} 1 where posted_credits > 0"
    await books.sql(change.format("+"))
    done = ledger.run("verify")
    await books.sql(change.format("-"))
    assert done.returncode == 1
    assert "customer:ann" in done.stdout


def test_migrate_twice_does_nothing_the_second_time(ledger: Ledger) -> None:
    done = ledger.report("migrate")
    assert done["topics_made"] == []
    assert done["version_before"] == done["version"]


@pytest.mark.slow
def test_demo_ends_with_a_verdict(tmp_path: Path) -> None:
    report = Ledger(tmp_path).report("demo", "--events", "4000")
    assert report["ok"], report
    assert report["worker_restarts"] == 1
    assert report["events_in"] >= 4000
    payments = report["payments"]
    assert payments["worker_restarts"] == 1
    assert payments["states"].keys() >= {"settled", "released", "refunded"}
    sagas = next(check for check in report["checks"] if check["name"] == "sagas")
    assert sagas["checked"] > sum(payments["states"].values())
    checked = {check["name"]: check["checked"] for check in report["checks"]}
    assert checked["chain"] == checked["zero_sum"] > 0


@pytest.mark.slow
def test_demo_reads_real_bank_history(tmp_path: Path) -> None:
    rows = [
        "id,account,date,direction,operation,amount_minor,bank_balance_minor,purpose,partner_bank,bank_balance_is_exact",
        "1,77,1993-01-01,credit,cash_deposit,70000,70000,,,1",
        "2,77,1993-01-02,debit,transfer_out,20000,50000,,AB,1",
        "4,77,1993-01-31,debit,cash_withdrawal,1460,53540,statement_fee,,1",
        "3,77,1993-01-31,credit,bank,5000,55000,interest,,1",
    ]
    path = tmp_path / "bank.csv"
    path.write_text("\n".join(rows) + "\n")
    report = Ledger(tmp_path).report("demo", "--csv", str(path))
    assert report["ok"], report
    assert report["bank"] == {"accounts_compared": 1, "differences": [], "note": None}
    assert report["duplicates"] == 4
