"""What is exported comes back as it was, from every format."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ledger.application.exports import Columns
from streams.cli import app
from streams.export_formats import GROUP_ROWS, Format, writer_of
from streams.exporting import written_whole

COLUMNS: Columns = (("name", "text"), ("amount", "integer"), ("sum", "total"), ("at", "moment"))
AT = datetime(2026, 11, 21, 10, 0, 0, 5, tzinfo=UTC)
ROWS = [
    ('a "quoted", line\nand ünïcode', -(2**63), Decimal(2**70), AT),
    ("", 2**63 - 1, Decimal(0), None),
    (None, None, None, AT),
]
WRITTEN_AT = "2026-11-21T10:00:00.000005Z"


def written(form: Format, *runs: Any) -> bytes:
    file = io.BytesIO()
    writer = writer_of(form, COLUMNS, file)
    for run in runs:
        writer.write(run)
    writer.finish()
    return file.getvalue()


def test_csv_quotes_what_needs_it() -> None:
    text = written(Format.CSV, ROWS[:1], ROWS[1:]).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["name", "amount", "sum", "at"],
        ['a "quoted", line\nand ünïcode', str(-(2**63)), str(2**70), WRITTEN_AT],
        ["", str(2**63 - 1), "0", ""],
        ["", "", "", WRITTEN_AT],
    ]


def test_json_lines_keep_every_digit() -> None:
    lines = [json.loads(line) for line in written(Format.JSON_LINES, ROWS).splitlines()]
    assert [line["sum"] for line in lines] == [2**70, 0, None]
    assert lines[0] == {"name": ROWS[0][0], "amount": -(2**63), "sum": 2**70, "at": WRITTEN_AT}


def test_parquet_keeps_types() -> None:
    table = pq.read_table(io.BytesIO(written(Format.PARQUET, ROWS[:1], ROWS[1:])))
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS
    assert [str(field.type) for field in table.schema] == [
        "string",
        "int64",
        "decimal128(38, 0)",
        "timestamp[us, tz=UTC]",
    ]


def test_parquet_is_written_in_groups() -> None:
    runs = [ROWS[1:2] * 5000 for _ in range(GROUP_ROWS // 5000 + 1)]
    metadata = pq.read_metadata(io.BytesIO(written(Format.PARQUET, *runs)))
    assert (metadata.num_rows, metadata.num_row_groups) == (GROUP_ROWS + 5000, 2)


@pytest.mark.parametrize("form", Format)
def test_nothing_is_a_file_too(form: Format) -> None:
    read: dict[Format, Callable[[bytes], Any]] = {
        Format.CSV: lambda body: body.decode().splitlines()[1:],
        Format.JSON_LINES: lambda body: body.splitlines(),
        Format.PARQUET: lambda body: pq.read_table(io.BytesIO(body)).to_pylist(),
    }
    assert read[form](written(form)) == []


def test_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(TypeError), written_whole(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])
    with written_whole(path) as file:
        file.write(b"whole")
    assert path.read_text() == "whole"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("entries", "--at", "2026-11-21"), "--from and --to"),
        (("balances", "--from", "1h"), "--at"),
        (("statement", "--tenant", "acme"), "--account"),
        (("trial-balance", "--account", "ann"), "all accounts"),
        (("entries", "--format", "parquet"), "--out"),
        (("entries", "--from", "soon"), "no moment"),
    ],
)
def test_wrong_use_is_told(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(app, ["export", *arguments])
    assert (done.exit_code, said in done.stderr) == (2, True), done.output


@pytest.mark.parametrize("directory", ["none", "file"])
def test_file_that_cannot_be_made_is_named_as_it_was_given(tmp_path: Path, directory: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / directory / "out.csv"
    with pytest.raises(OSError, match=r"out\.csv'$"), written_whole(path):
        pass
