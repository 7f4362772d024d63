"""From the bytes of a record to an event or to the reason why it is none, by the words of the public contract."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from loadtests.chaos.checker.assets import asset_is_valid

RECORD_BYTES_MAX = 256 * 1024
ADDRESS_BYTES_MAX = 64 * 1024
AMOUNT_MAX = 2**63 - 1
DEPTH_MAX = 32
DIGITS_MAX = 4000

Data = dict[str, Any]
Headers = Sequence[tuple[str, bytes | None]]


class Event(NamedTuple):
    """One event as it came; `content` is a digest of type and data, whatever the order and the defaults."""

    id: str
    tenant: str
    type: str
    source: str
    data: Data
    content: bytes


class Letter(NamedTuple):
    """What is no event, and why not."""

    reason: str


class _NoEventError(ValueError):
    """Carries the reason."""


class _Unreadable:
    """Stands for a number that nothing can hold."""


def read_record(value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> Event | Letter:
    """Read one record: bytes as Kafka has them."""
    address = len(key or b"") + sum(
        len(name.encode(errors="surrogateescape")) + len(content or b"") for name, content in headers
    )
    try:
        if address > ADDRESS_BYTES_MAX or len(value or b"") > RECORD_BYTES_MAX:
            raise _NoEventError("too_large")
        return _event(_json(value))
    except _NoEventError as error:
        return Letter(str(error))


def _json(value: bytes | None) -> Any:
    try:
        text = (value or b"").decode()
        found = json.loads(text, parse_constant=_refuse, parse_int=_whole, parse_float=_fraction)
        if "\\u" in text:  # half of a pair is no character, and only an escape can write it
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError):
        raise _NoEventError("malformed_json") from None
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _whole(digits: str) -> int | _Unreadable:
    return int(digits) if len(digits) < DIGITS_MAX else _Unreadable()


def _fraction(digits: str) -> float | _Unreadable:
    number = float(digits)
    return number if abs(number) != float("inf") else _Unreadable()


def _event(found: Any) -> Event:
    if not isinstance(found, dict) or not _is_envelope(found):
        raise _NoEventError("invalid_envelope")
    event_type, data = found["type"], found["data"]
    if event_type not in _TYPES:
        name, _, version = event_type.rpartition(".v")
        known = version.isdecimal() and f"{name}.v1" in _TYPES
        raise _NoEventError("unsupported_version" if known else "unknown_type")
    if not _fits(data, _TYPES[event_type]):
        raise _NoEventError("invalid_data")
    return Event(
        found["id"].lower(), found["tenant"], event_type, found["source"], data, content_of(event_type, data)
    )


def _is_envelope(found: Data) -> bool:
    return _fits({name: found[name] for name in _ENVELOPE if name in found}, _ENVELOPE) and "data" in found


def content_of(event_type: str, data: Data) -> bytes:
    """Digest what an event asks for: the same for the same content."""
    plain = {name: _plain(name, value) for name, value in data.items()}
    for name, default in _defaults(event_type, data).items():
        if plain.get(name) == default:
            del plain[name]
    text = event_type + json.dumps(plain, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _plain(name: str, value: Any) -> Any:
    return str(moment_of(value)) if name in ("effective_at", "expires_at", "deadline") else value


def _defaults(event_type: str, data: Data) -> Data:
    if event_type == "account.open.v1":
        overdraft: Any = "unlimited" if data["account"].startswith("external:") else 0
        return {"normal_side": "credit", "overdraft": overdraft}
    return {"final": True} if event_type == "hold.capture.v1" else {}


def moment_of(text: str) -> datetime:
    """Read a time of the contract; raises ValueError."""
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    head, _, tail = text[:10], text[10], text[11:].upper()
    whole, dot, rest = tail.partition(".")
    if dot:
        digits = re.match(r"\d+", rest)
        fraction = digits[0] if digits else ""
        tail = f"{whole}.{fraction[:6]:0<6}{rest[len(fraction) :]}"
    return datetime.fromisoformat(f"{head}T{tail}")


# Shapes


Check = Callable[[Any], bool]
Shape = Mapping[str, tuple[bool, Check]]
"""By member: whether it must be there, and what it must be."""


def _fits(data: Any, shape: Shape) -> bool:
    return (
        isinstance(data, dict)
        and data.keys() <= shape.keys()
        and all(
            check(data[name]) if name in data else not required for name, (required, check) in shape.items()
        )
    )


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _text(least: int, most: int, *, kept: bool = False) -> Check:
    return lambda value: (
        isinstance(value, str) and least <= len(value) <= most and not (kept and "\x00" in value)
    )


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and moment_of(value).utcoffset() is not None
    except ValueError:
        return False


def _kept_moment(value: Any) -> bool:
    """Either end of the calendar stands for infinity in a store."""
    try:
        return _moment(value) and moment_of(value).astimezone(UTC) not in _ENDS
    except OverflowError:
        return False


def _nothing_or(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _overdraft(value: Any) -> bool:
    return value == "unlimited" or (_integer(value) and 0 <= value <= AMOUNT_MAX)


def _metadata(value: Any) -> bool:
    return isinstance(value, dict) and _is_kept(value, 1)


def _is_kept(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, dict):
        members = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        members = value
    else:
        return not isinstance(value, _Unreadable)
    return depth <= DEPTH_MAX and all(_is_kept(member, depth + 1) for member in members)


def _lines(value: Any) -> bool:
    return isinstance(value, list) and 2 <= len(value) <= 100 and all(_fits(line, _LINE) for line in value)


_ENDS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_account = _matches(r"[A-Za-z0-9_.:-]{1,128}")
_id = _matches("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}")
_ENVELOPE: Shape = {
    "specversion": (True, lambda value: value == "1.0"),
    "id": (True, _id),
    "source": (True, _text(1, 1024)),
    "type": (True, _text(1, 256)),
    "tenant": (True, _matches("[a-z0-9][a-z0-9-]{0,62}")),
    "data": (True, lambda value: True),
    "time": (False, _nothing_or(_moment)),
    "traceparent": (False, _nothing_or(_text(0, 256))),
    "correlationid": (False, _nothing_or(_text(0, 256))),
}
_reference = (False, _text(1, 256, kept=True))
_MOVE: Shape = {
    "debit": (True, _account),
    "credit": (True, _account),
    "amount": (True, _integer),
    "asset": (True, asset_is_valid),
    "reference": _reference,
}
_DETAILS: Shape = {
    "reference": _reference,
    "effective_at": (False, _kept_moment),
    "metadata": (False, _metadata),
}
_LINE: Shape = {"account": (True, _account), "asset": (True, asset_is_valid), "amount": (True, _integer)}
_FEE: Shape = {"account": (True, _account), "amount": (True, _integer)}
_TYPES: Mapping[str, Shape] = {
    "account.open.v1": {
        "account": (True, _account),
        "normal_side": (False, lambda value: value in ("credit", "debit")),
        "overdraft": (False, _overdraft),
        "metadata": (False, _metadata),
    },
    "account.close.v1": {"account": (True, _account)},
    "transfer.post.v1": {**_MOVE, **_DETAILS},
    "transaction.post.v1": {"entries": (True, _lines), **_DETAILS},
    "transaction.reverse.v1": {"transaction": (True, _id), "amount": (False, _integer)},
    "hold.place.v1": {**_MOVE, "expires_at": (False, _kept_moment)},
    "hold.capture.v1": {
        "hold": (True, _id),
        "amount": (False, _integer),
        "final": (False, lambda value: isinstance(value, bool)),
    },
    "hold.void.v1": {"hold": (True, _id)},
    "payment.request.v1": {
        **_MOVE,
        "provider": (True, _matches("(ledger:)?[a-z0-9][a-z0-9-]{0,62}")),
        "fee": (False, lambda value: _fits(value, _FEE)),
        "deadline": (False, _kept_moment),
    },
}
EVENT_TYPES = tuple(_TYPES)


def time_of(event_id: str) -> datetime:
    """Read the time inside an id."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(event_id[:8] + event_id[9:13], 16))
