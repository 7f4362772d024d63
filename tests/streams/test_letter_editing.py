"""Dead letters in an editor: sent when they are events, edited again when they are not."""

import tempfile
from pathlib import Path

import pytest
import typer

from streams.cli import letter_editing
from streams.cli.letter_editing import in_editor
from tests.end_to_end.books import transfer

EVENT = transfer("external:bank", "ann", 100)
BROKEN = EVENT.replace(b":100", b":1.00")
NONSENSE = "echo nonsense > $1"
MEND = "sed s/1.00/100/ $1 > $1.new && mv $1.new $1"


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that does what its script says, at a terminal whose user goes on."""
    script = tmp_path / "editor"
    monkeypatch.setattr(letter_editing, "_is_terminal", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("VISUAL", f"sh {script}")
    return script


def left(editor: Path) -> list[Path]:
    return [each for each in editor.parent.iterdir() if each.name.startswith("ledger-letter-")]


def test_what_was_mended_is_given_and_no_file_is_left(editor: Path) -> None:
    editor.write_text(MEND)
    assert in_editor(BROKEN, 10_000) == EVENT
    assert left(editor) == []


def test_what_is_no_event_is_edited_again(editor: Path) -> None:
    editor.write_text(f"if [ -e $0.once ]; then {MEND}; else touch $0.once; sed s/1.00/x/ $1 > $0.x; fi")
    assert in_editor(BROKEN, 10_000) == EVENT


def test_who_gives_up_keeps_what_was_edited(
    editor: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor.write_text(NONSENSE)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(typer.Exit):
        in_editor(BROKEN, 10_000)
    [file] = left(editor)
    assert file.read_text() == "nonsense\n"
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "said"), [("false", "ended with 1"), ("no-such-editor", "cannot be run")]
)
def test_editor_that_fails_sends_nothing(
    editor: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], program: str, said: str
) -> None:
    monkeypatch.setenv("VISUAL", program)
    with pytest.raises(typer.Exit):
        in_editor(BROKEN, 10_000)
    assert said in capsys.readouterr().err
