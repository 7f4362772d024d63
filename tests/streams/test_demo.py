"""The demonstration's verdict, and the files of bank history that it refuses."""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from streams.cli import app
from streams.demo.mix import Mix
from streams.demo.paying import SCRIPT, PaymentsReport
from streams.demo.readings import Reading
from streams.demo.report import as_dict, show
from streams.demo.run import Report
from streams.embedded.provider.script import Script
from tests.builders import NOW

HEADER = b"id,account,date,direction,operation,amount_minor,bank_balance_minor,bank_balance_is_exact\n"
FILES = {
    "latin.csv": HEADER + b"1,Bj\xf6rn,1995-03-01,credit,cash_deposit,1,,\n",
    "no.csv.gz": HEADER,
    "cut.csv.gz": gzip.compress(HEADER * 50)[:-12],
    "damaged.csv.gz": gzip.compress(HEADER * 50)[:12] + b"\xff" * 40,
    "short.csv": HEADER + b"1,A\n",
    "exact.csv": HEADER + b"1,A,1995-03-01,credit,cash_deposit,1,much,1\n",
}


def reading(strong: int = 5, cached: int = 5, source: str = "stream") -> Reading:
    balances = {"strong": strong, "cached": cached, "eventual": strong}
    sources = {"strong": "database", "cached": "database", "eventual": source}
    return Reading("ann", "USD/2", balances, sources, 1)


def report(**facts: Any) -> Report:
    return Report(
        **{"sent": 2000, "killed_at": 1000, "restarts": 1, "records": Counter(posted=2000), **facts}
    )


@pytest.mark.parametrize(
    ("facts", "ok"),
    [
        pytest.param({}, True, id="killed and started again"),
        pytest.param({"restarts": 0}, False, id="not started again"),
        pytest.param({"killed_at": None}, False, id="nobody killed"),
        pytest.param(
            {"killed_at": None, "restarts": 0, "sent": 1999}, True, id="too few events to kill on the way"
        ),
        pytest.param({"bank_differences": [{}]}, False, id="another balance than the bank"),
        pytest.param({"records": Counter(posted=1999)}, False, id="a record lost"),
        pytest.param(
            {"payments": PaymentsReport(killed_at=3, restarts=1)}, True, id="a payments worker came back"
        ),
        pytest.param({"payments": PaymentsReport(killed_at=3)}, False, id="a payments worker did not"),
        pytest.param({"payments": PaymentsReport()}, False, id="no payments worker killed"),
        pytest.param({"readings": [reading()]}, True, id="every reader sees the same"),
        pytest.param({"readings": [reading(cached=4)]}, False, id="a cached balance that is another"),
        pytest.param({"readings": [reading(source="database")]}, False, id="a stream that never answers"),
    ],
)
def test_verdict_wants_a_worker_killed_and_started_again(facts: dict[str, Any], ok: bool) -> None:
    assert report(**facts).ok is ok


def test_memory_is_told_at_both_ends() -> None:
    found = as_dict(report(worker_memory_mib=[100.0, 101, 102, 120, 130, 140, 150, 160]))
    assert found["worker_memory_mib"] == {"first_quarter": 100.5, "last_quarter": 155.0, "max": 160.0}


def test_provider_takes_the_script_and_leaves_most_calls_alone() -> None:
    script = msgspec.convert({"rules": SCRIPT}, Script)
    assert sum(rule.share for rule in script.rules if "charge" in rule.on) < 0.5


def test_some_payments_have_to_come_back() -> None:
    mix = Mix(4000, 1, lambda: NOW)
    events = [orjson.loads(sent.value) for sent in mix.payments() if b"shut:" in sent.value]
    shut = {each["data"].get("account") or each["data"]["credit"] for each in events}
    assert len(shut) >= 2
    for account in shut:
        about = [each["type"] for each in events if account in each["data"].values()]
        assert list(dict.fromkeys(about)) == ["account.open.v1", "payment.request.v1", "account.close.v1"]


def test_balances_over_http_are_whole_on_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    amount = -50_000_000_000
    readings = [reading(strong=amount, cached=amount)]
    show(report(readings=readings), Console(width=80))
    assert capsys.readouterr().out.count("-500,000,000.00") == 3


@pytest.mark.parametrize(("compared", "noted"), [(0, True), (3, False)])
def test_nothing_compared_with_the_bank_is_noted(compared: int, noted: bool) -> None:
    assert bool(as_dict(report(bank_compared=compared))["bank"]["note"]) is noted


@pytest.mark.parametrize("name", [*FILES, "absent.csv", "folder"])
def test_file_that_is_no_history_is_told_in_a_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    if name in FILES:
        (tmp_path / name).write_bytes(FILES[name])
    environment = {"LEDGER_STATE_DIR": str(tmp_path / "state")}
    done = CliRunner().invoke(app, ["demo", "--csv", str(tmp_path / name)], env=environment)
    assert (done.exit_code, str(tmp_path / name) in done.stderr) == (2, True), done.output
    assert not any(sign in done.stderr for sign in ("Errno", "PostgreSQL", "Traceback"))
