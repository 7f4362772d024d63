"""Rows of a CSV become events by a mapping; the same row always becomes the same event, and wrong rows are named."""

import gzip
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from ledger.domain.ids import time_ms_of
from streams.cli import app
from streams.importing.cells import Column
from streams.importing.mapping import Mapping, MappingError, read_mapping
from streams.importing.rows import Limits, UnreadableCsvError, read_rows
from streams.sending import Line

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
LIMITS = Limits(NOW, timedelta(days=90), timedelta(minutes=5))

MAPPING = """
source = "bank/statements"
tenant = "acme"
type = "transfer.post.v1"
at = "2026-11-21T09:00:00Z"
[data]
debit = "customer:{account}"
credit = "external:{partner}"
amount = { column = "amount", decimals = 2, absolute = true }
asset = "CZK/2"
reference = { column = "text" }
effective_at = { column = "booked", format = "%d.%m.%Y", zone = "Europe/Prague" }
[[case]]
when = { way = "in" }
data = { debit = "external:{partner}", credit = "customer:{account}" }
[[case]]
when = { way = "none" }
skip = true
[csv]
delimiter = ";"
"""
HEADER = "account;partner;amount;way;booked;text"
ROWS = [
    "A1;KB;-12.50;out;01.02.1999;rent",
    "A1;KB;1000;in;31.12.1998;",
    "A2;;5;none;;",
    "A1;KB;-12.50;out;01.02.1999;rent",
]


def mapping_of(text: str = MAPPING, **members: Any) -> Mapping:
    return read_mapping({**tomllib.loads(text), **members})


def lines_of(
    tmp_path: Path, *rows: str, mapping: Mapping | None = None, header: str = HEADER, limits: Limits = LIMITS
) -> list[Line]:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return list(read_rows(path, mapping or mapping_of(), limits))


def events_of(tmp_path: Path, *rows: str, mapping: Mapping | None = None) -> list[dict[str, Any]]:
    lines = lines_of(tmp_path, *rows, mapping=mapping)
    assert [line.fault for line in lines if line.fault] == []
    return [orjson.loads(line.value) for line in lines]


def test_row_becomes_an_event(tmp_path: Path) -> None:
    [event] = events_of(tmp_path, ROWS[0])
    assert event["data"] == {
        "debit": "customer:A1",
        "credit": "external:KB",
        "amount": 1250,
        "asset": "CZK/2",
        "reference": "rent",
        "effective_at": "1999-01-31T23:00:00Z",
    }
    assert (event["source"], event["type"], event["tenant"]) == (
        "bank/statements",
        "transfer.post.v1",
        "acme",
    )
    assert time_ms_of(event["id"]) == datetime(2026, 11, 21, 9, tzinfo=UTC).timestamp() * 1000


def test_cases_change_data_and_pass_rows_by(tmp_path: Path) -> None:
    events = events_of(tmp_path, *ROWS[:3])
    assert [event["data"]["debit"] for event in events] == ["customer:A1", "external:KB"]


def test_empty_cell_leaves_its_member_out(tmp_path: Path) -> None:
    [event] = events_of(tmp_path, ROWS[1])
    assert "reference" not in event["data"]


def test_second_import_gives_the_same_events(tmp_path: Path) -> None:
    assert lines_of(tmp_path, *ROWS) == lines_of(tmp_path, *ROWS)


def test_rows_that_are_the_same_are_different_events(tmp_path: Path) -> None:
    events = events_of(tmp_path, *ROWS)
    assert len({event["id"] for event in events}) == len(events) == 3


def test_row_keeps_its_id_wherever_it_stands(tmp_path: Path) -> None:
    ids = {event["id"] for event in events_of(tmp_path, *ROWS)}
    assert ids == {event["id"] for event in events_of(tmp_path, *reversed(ROWS))}


@pytest.mark.parametrize(
    "changes", [{"source": "another"}, {"at": "2026-11-21T09:00:01Z"}, {"id": ["account", "booked"]}]
)
def test_what_names_a_row_is_in_its_id(tmp_path: Path, changes: dict[str, Any]) -> None:
    [one] = events_of(tmp_path, ROWS[0])
    [two] = events_of(tmp_path, ROWS[0], mapping=mapping_of(**changes))
    assert one["id"] != two["id"]


def test_changed_mapping_keeps_the_id(tmp_path: Path) -> None:
    """So what was imported with a mistake is refused as `event_id_reused`, and not posted a second time."""
    [one] = events_of(tmp_path, ROWS[0])
    [two] = events_of(tmp_path, ROWS[0], mapping=mapping_of(type="hold.place.v1", data={**_holds()}))
    assert one["id"] == two["id"]


def _holds() -> dict[str, Any]:
    amount = {"column": "amount", "decimals": 2, "absolute": True}
    return {"debit": "customer:{account}", "credit": "b", "amount": amount, "asset": "CZK/2"}


def test_ids_can_come_from_columns_and_then_must_differ(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, *ROWS, mapping=mapping_of(id=["account", "amount"]))
    assert [(line.number, line.fault) for line in lines if line.fault] == [
        (5, "a line before it has the same account, amount")
    ]


def test_time_can_come_from_a_column(tmp_path: Path) -> None:
    mapping = mapping_of(at={"column": "booked", "format": "%d.%m.%Y", "zone": "Europe/Prague"})
    [event] = events_of(tmp_path, "A1;KB;1;in;20.11.2026;", mapping=mapping)
    assert event["time"] == "2026-11-19T23:00:00.000Z"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("A1;KB;1;in;20.11.1999;", "older than the dedupe horizon of 90 days"),
        ("A1;KB;1;in;22.11.2026;", "in the future"),
        ("A1;KB;1;in;;", "column booked is empty"),
        ("A1;KB;1;in;yesterday;", "column booked"),
    ],
)
def test_time_that_no_id_may_have_is_named(tmp_path: Path, row: str, said: str) -> None:
    mapping = mapping_of(at={"column": "booked", "format": "%d.%m.%Y"})
    [line] = lines_of(tmp_path, row, mapping=mapping)
    assert said in (line.fault or "")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("A1;KB;1.255;out;01.02.1999;", "column amount: '1.255' has more than 2 decimals"),
        ("A1;KB;1,25;out;01.02.1999;", "column amount: '1,25' is no amount"),
        ("A1;KB;;out;01.02.1999;", "missing required field `amount`"),
        ("A1;KB;0;out;01.02.1999;", None),
        ("A1;;1;out;01.02.1999;", "column partner is empty"),
        ("A 1;KB;1;out;01.02.1999;", "invalid_data"),
        ("A1;KB;1;out;1999-02-01;", "column booked"),
        ("A1;KB;1;out", "it has 4 cells, and the header names 6 columns"),
        ("A1;KB;99999999999999999999;out;01.02.1999;", None),
    ],
)
def test_wrong_row_is_named_with_its_line(tmp_path: Path, row: str, said: str | None) -> None:
    first, line = lines_of(tmp_path, ROWS[0], row)
    assert (first.fault, line.number) == (None, 3)
    assert line.fault is None if said is None else said in (line.fault or "")


def test_lines_are_counted_over_breaks_in_cells(tmp_path: Path) -> None:
    rows = ['A1;KB;1;out;01.02.1999;"two\nlines"', "", "A1;KB;x;out;01.02.1999;"]
    assert [line.number for line in lines_of(tmp_path, *rows)] == [2, 5]


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (Column("c", kind="amount", decimals=2), "12", 1200),
        (Column("c", kind="amount", decimals=2), "-0.5", -50),
        (Column("c", kind="amount", decimals=2), ".05", 5),
        (Column("c", kind="amount", decimals=0), "7.000", 7),
        (Column("c", kind="amount", decimals=2, decimal_mark=",", thousands_mark="."), "1.234,5", 123450),
        (Column("c", kind="amount", decimals=8), "0.12345678", 12345678),
        (Column("c", kind="amount", decimals=2), "9007199254740993.01", 900719925474099301),
        (Column("c", kind="integer"), "-12", -12),
        (Column("c", kind="boolean"), "Yes", True),
        (Column("c", kind="moment"), "2026-11-21T10:00:00+01:00", "2026-11-21T09:00:00Z"),
        (Column("c", map={"D": "debit"}), "D", "debit"),
        (Column("c", default="x"), " ", "x"),
        (Column("c"), " ", None),
    ],
)
def test_cell_is_read_as_its_kind(column: Column, text: str, value: object) -> None:
    assert column.read({"c": text}) == value


@pytest.mark.parametrize("text", ["", "--1", "1e3", "0x1", "1.2.3", "٣", "nan", "+", ".", "1 000"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        Column("c", kind="amount", decimals=2)._value(text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "transfer"}, "no event of type"),
        ({"source": " "}, "source is empty"),
        ({"at": "soon"}, "soon"),
        ({"at": 5}, "no moment"),
        ({"id": []}, "names no column"),
        ({"data": {"a": {"column": "a", "zone": "Mars/North"}}}, "no time zone"),
        ({"data": {"a": {"column": "a", "kind": "money"}}}, "money"),
        ({"data": {"a": 1.5}}, "no value"),
        ({"nonsense": 1}, "nonsense"),
        ({"csv": {"delimiter": "::"}}, "one character"),
    ],
)
def test_mapping_that_is_none_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MappingError, match=said):
        mapping_of(**changes)


def test_mapping_without_a_time_is_told_how_to_give_one() -> None:
    with pytest.raises(MappingError, match='write at = "20'):
        read_mapping({"source": "a", "tenant": "b", "type": "transfer.post.v1", "data": {}})


@pytest.mark.parametrize(
    ("header", "said"), [("account;amount", "it has no column booked, partner"), ("a;a", "the same name")]
)
def test_header_that_does_not_fit_is_told(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(UnreadableCsvError, match=said):
        lines_of(tmp_path, header=header)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.csv", b""),
        ("a.csv", HEADER.encode() + b"\n\xff\xfe"),
        ("a.csv.gz", b"no gzip"),
        ("a.csv", b'"a";"b\n'),
    ],
)
def test_file_that_is_no_csv_is_told(tmp_path: Path, name: str, body: bytes) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(UnreadableCsvError):
        list(read_rows(tmp_path / name, mapping_of(), LIMITS))


def test_compressed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress("\n".join([HEADER, *ROWS]).encode()))
    assert len(list(read_rows(tmp_path / "a.csv.gz", mapping_of(), LIMITS))) == 3


# The command, as far as it needs no servers

OPTIONS = (
    *("--source", "s", "--tenant", "acme", "--at", "2026-11-21", "--id", "text", "--delimiter", ";"),
    *("--column", "debit=account", "--column", "credit=partner", "--column", "amount=amount"),
    *("--value", "asset=CZK/2", "--decimals", "2"),
)


def run(tmp_path: Path, *arguments: str, rows: tuple[str, ...] = ("A1;KB;1.50;in;;x",)) -> Any:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    environment = {"LEDGER_DEDUPE_HORIZON_DAYS": "36500", "LEDGER_FUTURE_TOLERANCE_S": str(10**9)}
    return CliRunner(env=environment).invoke(app, ["import", str(path), *arguments])


def test_options_stand_in_for_a_mapping(tmp_path: Path) -> None:
    done = run(tmp_path, *OPTIONS, "--dry-run", "--json")
    report = orjson.loads(done.stdout)
    assert (report["events"], report["wrong"]) == ({"transfer.post.v1": 1}, 0)
    assert report["samples"][0]["event"]["data"]["amount"] == 150
    assert report["samples"][0]["key"] == "acme/A1"


def test_wrong_lines_are_shown_with_their_numbers(tmp_path: Path) -> None:
    done = run(tmp_path, *OPTIONS, "--dry-run", rows=("A1;KB;1.50;in;;x", "A1;KB;one;in;;y"))
    assert (done.exit_code, "rows.csv:3: column amount: 'one' is no amount" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--source and --tenant must be given"),
        (("--mapping", "not-there.toml"), "not-there.toml"),
        ((*OPTIONS, "--column", "x"), "MEMBER="),
        ((*OPTIONS, "--column", "reference=none"), "no column none"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, *arguments, "--dry-run")
    assert (done.exit_code, said in done.stderr) == (2, True), done.output
