"""A report that cannot be written is refused before any server is reached for."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app


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
