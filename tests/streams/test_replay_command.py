"""`ledger replay` refuses what contradicts itself, before it reaches for any server."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app

NO_ARCHIVE = {"LEDGER_ARCHIVE_URL": ""}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "One of --dry-run, --into NAME and --live"),
        (["--dry-run", "--live"], "One of --dry-run, --into NAME and --live"),
        (["--into", "No-Schema"], "can be no schema"),
        (["--into", "x", "--outcomes", "memory"], "--outcomes is books, topic or archive"),
        (["--into", "x", "--archive"], "LEDGER_ARCHIVE_URL says where the archive is"),
        (["--into", "x", "--outcomes", "archive"], "LEDGER_ARCHIVE_URL says where the archive is"),
        (["--dry-run", "--file", "none.jsonl"], "No file none.jsonl"),
        (["--dry-run", "--file", "a", "--dead-letters"], "each a source of its own"),
        (["--dry-run", "--place", "nowhere"], "names no dead letter"),
        (["--dry-run", "--offsets", "1-2"], "no stretch of a partition"),
        (["--dry-run", "--since", "yesterday"], "no moment"),
        (["--dry-run", "--since", "1h", "--until", "2h"], "--since must be before --until"),
        (["--dry-run", "--since", "2999-01-01"], "--since is in the future: 2999-01-01T00:00:00Z"),
        (["--dry-run", "--offsets", "0:5-3"], "has nothing in it"),
        (["--dry-run", "--offsets", "0:5-5"], "has nothing in it"),
        (["--dry-run", "--type", "transfer.post"], "no type of events: account.open.v1, "),
        (["--dry-run", "--event", "abc"], "'abc' is no id of an event"),
        (["--dry-run", "--tenant", "No Such"], "is no tenant"),
        (["--dry-run", "--dead-letters", "--partition", "1"], "of the topic and of the archive"),
        (["--dry-run", "--since-books"], "--since-books goes with --live"),
        (["--live", "--since-books", "--tenant", "acme"], "--since-books goes with --live"),
        (["--live", "--outcomes", "topic"], "--outcomes goes with --into"),
        (["--dry-run", "--outcomes", "topic"], "--outcomes goes with --into"),
        (["--live", "--anew", "--resume"], "--anew goes with --live"),
        (["--into", "x", "--anew"], "--anew goes with --live"),
        (["--live", "--anew", "--dead-letters"], "--anew goes with --live"),
        (["--dry-run", "--resume"], "begin it anew"),
        (["--live", "--resume", "--account", "ann"], "begin it anew"),
        (["--live", "--resume", "--dead-letters"], "dead letters is begun anew"),
        (["--live", "--resume", "--since", "2h"], "is written down"),
        (["--into", "x", "--resume", "--offsets", "0:1-2"], "is written down"),
        (["--live"], "--why TEXT"),
        (["--live", "--resume"], "Repeat it with --yes"),
        (["--live", "--why", " "], "--why is empty"),
        (["--live", "--why", "a test"], "Repeat it with --yes"),
    ],
)
def test_what_contradicts_itself_is_used_wrongly(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["replay", *options], env=NO_ARCHIVE)
    assert done.exit_code == 2, done.output
    assert said in done.output
