"""The mapping of a CSV's columns to events, from TOML or from options."""

from collections.abc import Mapping as Members
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from ledger.contract.event_types import COMMANDS
from streams.importing.cells import Column, Row, columns_in, zone_of


class MappingError(ValueError):
    """The mapping is none; the message says why."""


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the file is written. Without `header` its first line names the columns."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8-sig"
    header: list[str] | None = None


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is otherwise for lines whose columns hold what `when` says; `skip` passes them by."""

    when: dict[str, str]
    skip: bool = False
    type: str | None = None
    data: dict[str, Any] = {}

    def is_for(self, row: Row) -> bool:
        return all(row[column].strip() == text for column, text in self.when.items())


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How each line becomes an event.

    `source` says where the lines come from, and is part of each id. `at` gives ids their time: one moment for all, or
    a column. `id` names the columns that tell lines apart; without it a line is told by all that stands in it.
    """

    source: str
    tenant: str
    type: str
    at: Any
    data: dict[str, Any]
    id: list[str] | None = None
    csv: Dialect = Dialect()
    case: list[Case] = []

    def columns(self) -> set[str]:
        """Name the columns that it reads."""
        cases = {name for case in self.case for name in (*case.when, *columns_in(case.data))}
        values = (self.tenant, self.data, self.at)
        return {*(self.id or ()), *cases, *(name for value in values for name in columns_in(value))}


def read_mapping(members: Members[str, Any]) -> Mapping:
    """Read a mapping from what TOML says; raises MappingError."""
    if "at" not in members:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise MappingError(
            "it does not say at what time the events are. `at` is one moment for all of them, or a column. "
            f'A second import must give the same one. If it is now, write at = "{now}"'
        )
    try:
        mapping = msgspec.convert(dict(members), Mapping)
        cases = [msgspec.structs.replace(case, data=_values(case.data)) for case in mapping.case]
        mapping = msgspec.structs.replace(
            mapping, at=_time(mapping.at), data=_values(mapping.data), case=cases
        )
    except ValueError as error:  # msgspec's faults are among these
        raise MappingError(str(error)) from error
    _check(mapping)
    return mapping


def _values(value: Any) -> Any:
    """Make columns of the tables that name one."""
    if isinstance(value, dict):
        if "column" in value:
            return _column(value)
        return {name: _values(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_values(each) for each in value]
    if not isinstance(value, str | int | datetime | date):
        raise ValueError(f"data: {value!r} is no value of an event")
    return value


def _column(table: dict[str, Any]) -> Column:
    """What only one kind has says which kind it is."""
    kinds = {"decimals": "amount", "absolute": "amount", "format": "moment", "zone": "moment"}
    told = next((kind for member, kind in kinds.items() if member in table), "text")
    column = msgspec.convert({"kind": told, **table}, Column)
    zone_of(column.zone)
    if not 0 <= column.decimals <= 99:
        raise ValueError(f"column {column.column}: {column.decimals} decimals")
    return column


def _time(value: Any) -> datetime | Column:
    if isinstance(value, dict):
        return _column({"kind": "moment", **value})
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise ValueError(f"at: {value!r} is no moment, and no column")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _check(mapping: Mapping) -> None:
    for event_type in (mapping.type, *(case.type for case in mapping.case if case.type is not None)):
        if event_type not in COMMANDS:
            raise MappingError(f"there is no event of type {event_type!r}")
    if not mapping.source.strip():
        raise MappingError("source is empty")
    if mapping.id is not None and not mapping.id:
        raise MappingError("id names no column")
    if len(mapping.csv.delimiter) != 1 or len(mapping.csv.quote) != 1:
        raise MappingError("csv: delimiter and quote are one character each")
