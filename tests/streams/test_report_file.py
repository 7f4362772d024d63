"""Reports: what cannot be written is refused before any server is reached for, what is kept is whole."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ledger.adapters.report_directory import ReportDirectory
from ledger.application.faults import TransientFaultError
from ledger.application.reports import VERIFICATION, decode_verification, verification_of
from ledger.config import Settings
from ledger.domain.audit import Check, Verdict
from streams.cli import app
from streams.cli.report_file import keep_report
from streams.verifying import keep_verdict
from tests.builders import NOW


@pytest.mark.parametrize(
    "command", [["replay", "--into", "x"], ["replay", "--dry-run"], ["compare", "left", "right"]]
)
def test_a_report_that_cannot_be_written_is_refused_first(command: list[str], tmp_path: Path) -> None:
    nowhere = {"LEDGER_POSTGRES_DSN": "postgresql://nobody@127.0.0.1:1/none"}
    for report, said in ((tmp_path, "is a directory"), (tmp_path / "none" / "p.html", "no directory")):
        done = CliRunner().invoke(app, [*command, "--report", str(report)], env=nowhere)
        assert done.exit_code == 2, done.output
        assert said in done.output
    assert list(tmp_path.iterdir()) == []


async def test_a_report_is_kept_where_the_console_finds_it(tmp_path: Path) -> None:
    keep_report(Settings(reports_dir=tmp_path / "reports"), "replay-into", NOW, {"at": NOW}, "<p>")
    names = [each.name for each in await ReportDirectory(tmp_path / "reports").files()]
    assert sorted(Path(name).suffix for name in names) == [".html", ".json"]
    assert all(name.startswith(f"replay-into-{NOW:%Y%m%dT}") for name in names)


def test_no_report_is_kept_where_nobody_asked_for_it(tmp_path: Path) -> None:
    keep_report(Settings(state_dir=tmp_path), "replay-into", NOW, {}, "<p>")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("disk", ["has room", "is full"])
async def test_a_verdict_that_the_database_refuses_is_kept_as_a_file_and_the_database_is_asked_anyway(
    tmp_path: Path, disk: str
) -> None:
    reports = tmp_path / "reports"
    if disk == "is full":
        reports.touch()
    settings = Settings(reports_dir=reports, postgres_dsn="postgresql://nobody@127.0.0.1:1/none")
    kept = verification_of(Verdict([Check("balances", 9, [])]), NOW, 1.5, "payments")
    with pytest.raises(TransientFaultError, match="Refused"):
        await keep_verdict(settings, kept)
    if disk == "has room":
        assert decode_verification((reports / VERIFICATION).read_bytes()) == kept


def test_a_report_that_cannot_be_kept_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    keep_report(Settings(reports_dir=tmp_path / "file"), "replay-into", NOW, {}, "<p>")
    assert "could not be kept for the console" in capsys.readouterr().err
