"""One member of a JSON document changed, and every byte of the others left as it was."""

from collections.abc import Sequence

import msgspec

_encode = msgspec.json.encode


class NotEditableError(ValueError):
    """A document cannot be changed so; the message says why."""


def set_member(document: bytes, path: str, value: str) -> bytes:
    """Set what `path` names (`data.amount`, `data.entries.0.amount`), which may be new in its object.

    `value` is JSON, or else a text. Raises NotEditableError.
    """
    return _changed(document, _steps(path), _json(value), path)


def remove_member(document: bytes, path: str) -> bytes:
    """Take out what `path` names; raises NotEditableError."""
    return _changed(document, _steps(path), None, path)


def _steps(path: str) -> Sequence[str]:
    steps = path.split(".")
    if not all(steps):
        raise NotEditableError(f"{path!r} is no path: data.amount is one")
    return steps


def _json(value: str) -> msgspec.Raw:
    try:
        raw = value.encode()
        msgspec.json.decode(raw)
    except (UnicodeEncodeError, RecursionError) as error:
        raise NotEditableError("the value is not UTF-8, or nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.Raw(_encode(value))
    return msgspec.Raw(raw)


def _changed(document: bytes, steps: Sequence[str], value: msgspec.Raw | None, path: str) -> bytes:
    try:
        members = msgspec.json.decode(document, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotEditableError(f"there is no {path}: what should hold it is no object or list") from error
    if isinstance(members, dict):
        _change_object(members, steps, value, path)
    else:
        _change_list(members, steps, value, path)
    return _encode(members)


def _change_object(
    members: dict[str, msgspec.Raw], steps: Sequence[str], value: msgspec.Raw | None, path: str
) -> None:
    name, *rest = steps
    if name not in members and (rest or value is None):
        raise NotEditableError(f"there is no {path}" + (f": it has no {name}" if path != name else ""))
    if rest:
        members[name] = msgspec.Raw(_changed(bytes(members[name]), rest, value, path))
    elif value is None:
        del members[name]
    else:
        members[name] = value


def _change_list(
    members: list[msgspec.Raw], steps: Sequence[str], value: msgspec.Raw | None, path: str
) -> None:
    name, *rest = steps
    if not (name.isascii() and name.isdigit() and len(name) < 10 and int(name) < len(members)):
        raise NotEditableError(f"there is no {path}: the list has {len(members)} items, counted from 0")
    index = int(name)
    if rest:
        members[index] = msgspec.Raw(_changed(bytes(members[index]), rest, value, path))
    elif value is None:
        del members[index]
    else:
        members[index] = value
