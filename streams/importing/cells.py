"""Cells of a CSV as values of an event: text, exact amounts, moments."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Row = Mapping[str, str]

_NAMED = re.compile(r"\{([^{}]+)\}")
_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class CellError(ValueError):
    """A cell is not what the mapping says that it is."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column, and how its cells are read. An empty cell without a `default` leaves the member out."""

    column: str
    kind: Literal["text", "amount", "integer", "boolean", "moment"] = "text"
    decimals: int = 0
    """Of an amount: so many digits after the point are minor units."""
    decimal_mark: str = "."
    thousands_mark: str = ""
    absolute: bool = False
    """Of an amount: without its sign."""
    format: str | None = None
    """Of a moment, as `strptime` has it; RFC 3339 if not given."""
    zone: str = "UTC"
    """Of a moment that has none of its own."""
    map: dict[str, str | int | bool] | None = None
    """What stands for what; a cell that is not here is wrong."""
    default: str | None = None

    def read(self, row: Row) -> Any:
        """Give the cell's value, None for an empty one; raises CellError."""
        text = row[self.column].strip() or self.default
        if text is None:
            return None
        if self.map is not None:
            if text not in self.map:
                raise CellError(f"column {self.column}: {text!r} is none of {', '.join(map(repr, self.map))}")
            return self.map[text]
        try:
            return self._value(text)
        except ValueError as error:
            raise CellError(f"column {self.column}: {error}") from None

    def _value(self, text: str) -> Any:
        match self.kind:
            case "amount":
                return self._amount(text)
            case "integer":
                return _integer(text)
            case "boolean":
                return _boolean(text)
            case "moment":
                return self.moment(text).isoformat().replace("+00:00", "Z")
        return text

    def _amount(self, text: str) -> int:
        """Read an amount exactly: what has more digits than the asset is refused, not rounded."""
        plain = text.replace(self.thousands_mark, "") if self.thousands_mark else text
        sign = -1 if plain.startswith("-") else 1
        whole, _, part = plain.lstrip("+-").partition(self.decimal_mark)
        part = part.rstrip("0")
        is_number = (whole + part).isascii() and (whole + part or "x").isdigit() and len(plain) < 40
        if not is_number or plain.count("-") + plain.count("+") > 1:
            raise ValueError(f"{text!r} is no amount")
        if len(part) > self.decimals:
            raise ValueError(f"{text!r} has more than {self.decimals} decimals")
        amount: int = int(whole or "0") * 10**self.decimals + int(part.ljust(self.decimals, "0") or "0")
        return amount if self.absolute else sign * amount

    def moment(self, text: str) -> datetime:
        """Read a moment; raises ValueError."""
        # The zone is given below, if need be.
        found = datetime.strptime(text, self.format) if self.format else datetime.fromisoformat(text)  # noqa: DTZ007
        return (found if found.tzinfo else found.replace(tzinfo=zone_of(self.zone))).astimezone(UTC)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
        raise ValueError(f"{text!r} is no integer")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _YES_NO:
        raise ValueError(f"{text!r} is neither true nor false")
    return _YES_NO[text.lower()]


def zone_of(name: str) -> tzinfo:
    """Find a time zone by its IANA name; raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error


def columns_in(value: Any) -> set[str]:
    """Name the columns that a value of a mapping reads."""
    match value:
        case Column():
            return {value.column}
        case str():
            return set(_NAMED.findall(value))
        case dict():
            return {name for each in value.values() for name in columns_in(each)}
        case list():
            return {name for each in value for name in columns_in(each)}
    return set()


def filled(value: Any, row: Row) -> Any:
    """Fill a value of a mapping from a row: columns, `{column}` in text, and whatever is inside; None is left out."""
    match value:
        case Column():
            return value.read(row)
        case str():
            return _NAMED.sub(lambda found: _cell(row, found[1]), value)
        case datetime() | date():
            return value.isoformat()
        case dict():
            members = {name: filled(each, row) for name, each in value.items()}
            return {name: each for name, each in members.items() if each is not None}
        case list():
            return [filled(each, row) for each in value]
    return value


def _cell(row: Row, name: str) -> str:
    if not row[name].strip():
        raise CellError(f"column {name} is empty")
    return row[name].strip()
