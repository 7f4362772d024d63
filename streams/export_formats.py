"""Rows written as CSV, JSON lines or Parquet, a run at a time."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from ledger.application.exports import Columns, Row

GROUP_ROWS = 50_000
"""Rows of a row group of Parquet: what is in memory at a time."""


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


class ParquetAwayError(Exception):
    """The library that writes Parquet is not installed."""


class RowWriter(Protocol):
    """Writes rows to a file that was opened for it."""

    def write(self, rows: Sequence[Row]) -> None: ...

    def finish(self) -> None:
        """Write what is left; the file stays open."""
        ...


def writer_of(form: Format, columns: Columns, file: BinaryIO) -> RowWriter:
    """Begin to write; raises ParquetAwayError."""
    match form:
        case Format.CSV:
            return CsvWriter(columns, file)
        case Format.JSON_LINES:
            return JsonLinesWriter(columns, file)
        case Format.PARQUET:
            return ParquetWriter(columns, file)


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value


def _plain(value: Any, kind: str) -> Any:
    return int(value) if kind == "total" and value is not None else _text(value)


class CsvWriter:
    """RFC 4180 in UTF-8 with a header; lines end in a line feed, what is None is empty."""

    def __init__(self, columns: Columns, file: BinaryIO) -> None:
        self._kinds = [kind for _, kind in columns]
        self._file = file
        self._buffer = io.StringIO()
        self._csv = csv.writer(self._buffer, lineterminator="\n")
        self._csv.writerow([name for name, _ in columns])

    def write(self, rows: Sequence[Row]) -> None:
        self._csv.writerows([map(_plain, row, self._kinds) for row in rows])
        self.finish()

    def finish(self) -> None:
        self._file.write(self._buffer.getvalue().encode())
        self._buffer.seek(0)
        self._buffer.truncate()


class JsonLinesWriter:
    """One JSON object a row; integers are whole, however large."""

    def __init__(self, columns: Columns, file: BinaryIO) -> None:
        self._columns = columns
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        self._file.write("".join(self._line(row) for row in rows).encode())

    def _line(self, row: Row) -> str:
        members = {name: _plain(value, kind) for (name, kind), value in zip(self._columns, row, strict=True)}
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"

    def finish(self) -> None:
        """Each run was written whole."""


class ParquetWriter:
    """Parquet, compressed by zstd; amounts are int64, totals decimal(38, 0), moments microseconds in UTC."""

    def __init__(self, columns: Columns, file: BinaryIO) -> None:
        try:
            import pyarrow as pa  # an extra, and heavy
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ParquetAwayError("pyarrow is not installed: the extra `parquet` brings it") from error
        kinds = {
            "text": pa.string(),
            "integer": pa.int64(),
            "total": pa.decimal128(38, 0),
            "moment": pa.timestamp("us", tz="UTC"),
        }
        self._schema = pa.schema([(name, kinds[kind]) for name, kind in columns])
        self._batch_of = pa.record_batch
        self._array_of = pa.array
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        self._waiting += rows
        if len(self._waiting) >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        rows, self._waiting = self._waiting, []
        arrays = [
            self._array_of(values, type=field.type)
            for field, values in zip(self._schema, zip(*rows, strict=True), strict=True)
        ]
        self._writer.write_batch(self._batch_of(arrays, schema=self._schema))

    def finish(self) -> None:
        if self._waiting:
            self._write_group()
        self._writer.close()
