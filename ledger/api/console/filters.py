"""How money, times, ids and bytes are written for people, exactly."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

from ledger.domain.money import asset_fault, format_amount

HEX_BYTES_A_LINE = 16
BYTES_SHOWN_MAX = 16 * 1024
SHORT_HEAD, SHORT_TAIL = 8, 4

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def money(amount: int, asset: str) -> str:
    """Write minor units with their point: 1,250.50 USD. An asset that is none is told beside the plain number."""
    return f"{amount:,} {asset}" if asset_fault(asset) else format_amount(amount, asset)


def moment(at: datetime | None) -> Markup:
    """Write a time in UTC, to the millisecond; all of it stands in the element."""
    if at is None:
        return Markup("–")
    utc = at.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), text)


def span(seconds: float | timedelta | None) -> str:
    """Write how long something took, in one or two units."""
    if seconds is None:
        return "–"
    given = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    for size, unit in _UNITS:
        if given >= size:
            whole, rest = divmod(int(given), size)
            smaller = {"d": (3600, "h"), "h": (60, "min"), "min": (1, "s")}[unit]
            return f"{whole} {unit} {rest // smaller[0]} {smaller[1]}"
    return f"{given * 1000:.0f} ms" if given < 1 else f"{given:.1f} s"


def rate(per_second: float | None) -> str:
    """Write a rate; short of ten with one digit after the point."""
    if per_second is None:
        return "…"
    return f"{per_second:,.0f}/s" if per_second >= 10 or not per_second else f"{per_second:.1f}/s"


def count(number: int, thing: str, things: str | None = None) -> str:
    """Write a number with its noun."""
    return f"1 {thing}" if number == 1 else f"{number:,} {things or thing + 's'}"


def short(text: str) -> str:
    """Shorten an id to its head and its tail."""
    return text if len(text) <= 16 else f"{text[:SHORT_HEAD]}…{text[-SHORT_TAIL:]}"


def words(text: str) -> str:
    """Write a name of the code as words."""
    return text.replace("_", " ").replace("-", " ")


def readable(value: bytes) -> str:
    """Show bytes as text, whatever they are: what is not UTF-8 or cannot be seen, as its escape."""
    text = value[:BYTES_SHOWN_MAX].decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() or each in "\n\t" else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def hexadecimal(value: bytes) -> str:
    """Show bytes in lines of sixteen, each with its offset and what can be seen of it."""
    shown = value[:BYTES_SHOWN_MAX]
    return "\n".join(_hex_line(shown, begin) for begin in range(0, len(shown), HEX_BYTES_A_LINE))


def _hex_line(value: bytes, begin: int) -> str:
    line = value[begin : begin + HEX_BYTES_A_LINE]
    seen = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
    return f"{begin:08x}  {line.hex(' '):<47}  {seen}"


def document(value: Any) -> str:
    """Show a JSON document, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "moment": moment,
    "span": span,
    "rate": rate,
    "count": count,
    "short": short,
    "words": words,
    "readable": readable,
    "hexadecimal": hexadecimal,
    "document": document,
}
