"""Rows of a CSV as lines to be sent: each an event that is the same whenever the same line is imported."""

import csv
import gzip
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import orjson

from ledger.contract.decode import RECORD_BYTES_MAX
from ledger.contract.keys import KeyChooser
from ledger.domain.ids import derived_id
from ledger.domain.moments import EPOCH, milliseconds
from streams.importing.cells import CellError, Column, Row, filled
from streams.importing.mapping import Case, Mapping, MappingError
from streams.sending import Line, checked_line

SEEN_TO_MEMORY_KIB = 32 * 1024


class UnreadableCsvError(ValueError):
    """The file is no CSV that the mapping can read; the message names the line."""


class Limits(NamedTuple):
    """What an id may be: of the horizon, and not of the future."""

    now: datetime
    horizon: timedelta
    tolerance: timedelta
    bytes_max: int = RECORD_BYTES_MAX


def read_rows(path: Path, mapping: Mapping, limits: Limits) -> Iterator[Line]:
    """Give a line to be sent for each row, or what is wrong with it; raises UnreadableCsvError and MappingError."""
    try:
        with _opened(path, mapping.csv.encoding) as file, closing(_Seen()) as seen:
            yield from _Reader(mapping, limits, seen).lines(file)
    except UnicodeDecodeError as error:
        raise UnreadableCsvError(f"it is not {error.encoding}: {error.reason}") from error
    except csv.Error as error:
        raise UnreadableCsvError(str(error)) from error
    except LookupError as error:
        raise MappingError(f"csv: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableCsvError(f"it is no whole gzip file: {error}") from error


def _opened(path: Path, encoding: str) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


class _Reader:
    """Makes events of rows."""

    def __init__(self, mapping: Mapping, limits: Limits, seen: "_Seen") -> None:
        self._mapping = mapping
        self._limits = limits
        self._seen = seen
        self._chooser = KeyChooser()

    def lines(self, file: TextIO) -> Iterator[Line]:
        dialect = self._mapping.csv
        reader = csv.reader(file, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
        header = dialect.header or next(reader, None)
        if header is None:
            raise UnreadableCsvError("it is empty")
        self._check_header([name.strip() for name in header])
        before = reader.line_num
        for cells in reader:
            number, before = before + 1, reader.line_num
            if cells:
                line = self._line(number, [name.strip() for name in header], cells)
                if line is not None:
                    yield line

    def _check_header(self, header: list[str]) -> None:
        if len(set(header)) < len(header):
            raise UnreadableCsvError("two of its columns have the same name")
        missing = sorted(self._mapping.columns() - set(header))
        if missing:
            raise UnreadableCsvError(
                f"it has no column {', '.join(missing)}; its columns are {', '.join(header)}"
            )

    def _line(self, number: int, header: list[str], cells: list[str]) -> Line | None:
        if len(cells) != len(header):
            return _faulty(number, f"it has {len(cells)} cells, and the header names {len(header)} columns")
        row = dict(zip(header, cells, strict=True))
        case = next((each for each in self._mapping.case if each.is_for(row)), None)
        if case is not None and case.skip:
            return None
        try:
            value = self._event(row, case)
        except CellError as error:
            return _faulty(number, str(error))
        return checked_line(number, value, self._chooser, self._limits.bytes_max)

    def _event(self, row: Row, case: Case | None) -> bytes:
        mapping = self._mapping
        at = self._time(row)
        data = mapping.data if case is None else {**mapping.data, **case.data}
        body = {
            "specversion": "1.0",
            "id": derived_id(milliseconds(at), "import", self._name(row)),
            "source": mapping.source,
            "type": (case.type if case is not None else None) or mapping.type,
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "tenant": filled(mapping.tenant, row),
            "data": filled(data, row),
        }
        # Not orjson: an integer of more than 64 bits must come as far as the check that refuses it.
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def _time(self, row: Row) -> datetime:
        at: Any = self._mapping.at
        if isinstance(at, Column):
            text = row[at.column].strip() or at.default
            if text is None:
                raise CellError(f"column {at.column} is empty")
            try:
                at = at.moment(text)
            except (ValueError, OverflowError) as error:
                raise CellError(f"column {at.column}: {error}") from None
        limits = self._limits
        if at < limits.now - limits.horizon or at < EPOCH:
            raise CellError(
                f"its time {at:%Y-%m-%d} is older than the dedupe horizon of {limits.horizon.days} days: let `at` be "
                "one moment for all, and effective_at the time of the line"
            )
        if at > limits.now + limits.tolerance:
            raise CellError(f"its time {at:%Y-%m-%dT%H:%M:%SZ} is in the future")
        moment: datetime = at.astimezone(UTC)
        return moment

    def _name(self, row: Row) -> str:
        """Name a line by its columns; of lines without an id that are the same, the first, the second …"""
        mapping = self._mapping
        told = row if mapping.id is None else {column: row[column] for column in mapping.id}
        name = orjson.dumps([mapping.source, told], option=orjson.OPT_SORT_KEYS)
        count = self._seen.count(hashlib.blake2b(name, digest_size=16).digest())
        if mapping.id is not None and count > 1:
            raise CellError(f"a line before it has the same {', '.join(mapping.id)}")
        return f"{name.decode()} {count}"


def _faulty(number: int, fault: str) -> Line:
    return Line(number, None, None, b"", fault)


class _Seen:
    """Counts how often a name came, in bounded memory: what does not fit goes to a temporary file."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.execute(f"pragma cache_size = -{SEEN_TO_MEMORY_KIB}")
        self._table.execute("create table seen (name blob primary key, times integer) without rowid")

    def count(self, name: bytes) -> int:
        """Count one more of this name; gives how many there are."""
        found = self._table.execute(
            "insert into seen values (?, 1) on conflict (name) do update set times = times + 1 returning times",
            (name,),
        ).fetchone()
        return int(found[0])

    def close(self) -> None:
        self._table.close()
