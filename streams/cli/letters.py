"""How dead letters are shown: to people with what their terminal can bear, to programs with every byte."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.application.dead_letters import Action, LetterSummary, Place, StoredLetter
from ledger.application.letter_events import LetterEvent, Stands
from ledger.contract.dead_letter import name_bytes
from streams.awaiting_letters import Became, Fate
from streams.cli.uncut import print_uncut

SHOWN_MAX = 16 * 1024
HEX_BYTES_A_LINE = 16


class Shown(NamedTuple):
    """A letter, those that it was before and itself, those that came of it, and the event that it was sent as."""

    stored: StoredLetter
    chain: Sequence[LetterSummary]
    came_of: Sequence[LetterSummary]
    event: LetterEvent | None


def summary_facts(summary: LetterSummary, tries: int) -> dict[str, Any]:
    """What `list --json` tells of a letter."""
    return {
        "letter": str(summary.place),
        **summary.place._asdict(),
        "reason": summary.reason,
        "detail": summary.detail,
        "at": _moment(summary.at),
        "bytes": summary.bytes,
        "origin": None if summary.origin is None else str(summary.origin),
        "tries": tries,
        "state": state_of(summary.action),
        "action": action_facts(summary.action),
    }


def letter_facts(shown: Shown) -> dict[str, Any]:
    """What `show --json` tells of a letter; the bytes are there in base64, and as text where they are UTF-8."""
    stored = shown.stored
    letter, record = stored.letter, stored.letter.record
    return {
        "letter": str(stored.place),
        **stored.place._asdict(),
        "reason": letter.reason,
        "detail": letter.detail,
        "at": _moment(letter.at),
        "timestamp_ms": record.timestamp_ms,
        "key": _bytes_facts(record.key),
        "headers": [{"name": _name(name), **(_bytes_facts(value) or {})} for name, value in record.headers],
        "value": _bytes_facts(record.value),
        "state": state_of(stored.action),
        "action": action_facts(stored.action),
        "tries": len(shown.chain),
        "was": [_link_facts(each) for each in shown.chain[:-1]],
        "came_of": [_link_facts(each) for each in shown.came_of],
        "sent_as": None if shown.event is None else _event_facts(shown.event),
    }


def _event_facts(event: LetterEvent) -> dict[str, Any]:
    return {
        "tenant": event.tenant,
        "event": event.id,
        "stands": event.stands,
        "at": None if event.at is None else _moment(event.at),
        "reason": event.reason,
        "detail": event.detail,
    }


def _link_facts(summary: LetterSummary) -> dict[str, Any]:
    return {
        "letter": str(summary.place),
        "reason": summary.reason,
        "detail": summary.detail,
        "at": _moment(summary.at),
        "state": state_of(summary.action),
    }


def fate_facts(fate: Fate) -> dict[str, Any]:
    """What `--json` tells of a letter that was sent again and waited for."""
    return {
        "letter": str(fate.letter),
        "record": str(fate.record),
        "became": fate.became,
        "reason": fate.reason,
        "detail": fate.detail,
    }


_TOLD = {
    Became.POSTED: "posted",
    Became.REJECTED: "refused",
    Became.DUPLICATE: "was there before",
    Became.PENDING: "not handled yet",
    Became.UNKNOWN: "passed by, and not known any more",
}


_STANDS = {
    Stands.POSTED: "posted",
    Stands.REJECTED: "refused",
    Stands.UNKNOWN: "which the books do not have: on its way, come back as a letter, or forgotten",
    Stands.REUSED: "whose id the books had for other content",
}


def print_fates(fates: Sequence[Fate]) -> None:
    """Print what came of letters that were sent again, one a line."""
    for each in fates:
        why = f" ({printable(': '.join(filter(None, (each.reason, each.detail))))})" if each.reason else ""
        told = _TOLD.get(each.became, f"came back as {each.record}")
        print(f"{each.letter}: {told}{why}")


def action_facts(action: Action | None) -> dict[str, Any] | None:
    if action is None:
        return None
    return {
        "action": action.deed,
        "by": action.by,
        "at": _moment(action.at),
        "why": action.why,
        "edited_value": _bytes_facts(action.edited_value),
    }


def state_of(action: Action | None) -> str:
    return "open" if action is None else action.deed


def _bytes_facts(value: bytes | None) -> dict[str, Any] | None:
    if value is None:
        return None
    facts = {"base64": base64.b64encode(value).decode()}
    text = as_text(value)
    return facts if text is None else {"text": text, **facts}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_list(summaries: Sequence[LetterSummary], tries: Mapping[Place, int]) -> None:
    """Print a table, a letter a line."""
    table = Table("letter", "at", "reason", "state", "tries", "bytes", "detail")
    for column in table.columns:
        column.no_wrap = True
    for each in summaries:
        size = "none" if each.bytes is None else str(each.bytes)
        state, tried = state_of(each.action), str(tries[each.place])
        cells = (str(each.place), _moment(each.at), each.reason, state, tried, size)
        table.add_row(*map(Text, cells), Text(printable(each.detail), overflow="ellipsis"))
    print_uncut(table)


def print_letter(shown: Shown, console: Console) -> None:
    """Print everything about one letter, its bytes last."""
    for name, text in [*_lines(shown.stored), *_chain_lines(shown), *_event_lines(shown.event)]:
        console.print(f"{name:9} {printable(text)}", markup=False, highlight=False, soft_wrap=True)
    console.print()
    for line in _body(shown.stored.letter.record.value):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(stored: StoredLetter) -> Iterator[tuple[str, str]]:
    letter, record = stored.letter, stored.letter.record
    yield "letter", str(stored.place)
    yield "reason", f"{letter.reason}: {letter.detail}"
    yield "at", _moment(letter.at)
    if record.timestamp_ms is not None:
        written = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
        yield "written", _moment(written)
    yield "key", _in_line(record.key)
    for name, value in record.headers:
        yield "header", f"{_name(name)}: {_in_line(value)}"
    action = stored.action
    if action is None:
        yield "state", "open"
    else:
        edited = ", edited" if action.edited_value is not None else ""
        why = f": {action.why}" if action.why else ""
        yield "state", f"{action.deed}{edited} by {action.by} at {_moment(action.at)}{why}"


def _chain_lines(shown: Shown) -> Iterator[tuple[str, str]]:
    yield "tries", str(len(shown.chain))
    for name, letters in (("was", shown.chain[:-1]), ("came back", shown.came_of)):
        for each in letters:
            yield name, f"{each.place}, {state_of(each.action)}: {each.reason}: {each.detail}"


def _event_lines(event: LetterEvent | None) -> Iterator[tuple[str, str]]:
    if event is not None:
        at = "" if event.at is None else f" at {_moment(event.at)}"
        why = "".join(f": {each}" for each in (event.reason, event.detail) if each)
        yield "sent as", f"{event.tenant}/{event.id}, {_STANDS[event.stands]}{at}{why}"


def _name(name: str) -> str:
    """The name as text, with an escape for each byte that is none."""
    return name_bytes(name).decode("utf-8", "backslashreplace")


def _in_line(value: bytes | None) -> str:
    if value is None:
        return "none"
    text = as_text(value)
    return f"hex {value.hex()}" if text is None else text


def _body(value: bytes | None) -> Iterator[str]:
    if value is None:
        yield "a tombstone: no value"
        return
    text = as_text(value)
    if text is None:
        yield from hex_dump(value[:SHOWN_MAX])
    else:
        # A carriage return would let a line overwrite another.
        yield text[:SHOWN_MAX].replace("\r", "␍")
    more = len(value if text is None else text) - SHOWN_MAX
    if more > 0:
        yield f"… {more} more {'bytes' if text is None else 'characters'}; --raw writes all of them."


def as_text(value: bytes) -> str | None:
    """The bytes as text, if they are UTF-8 and nothing in them could steer a terminal."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(each.isprintable() or each in "\n\r\t" for each in text) else None


def printable(text: str) -> str:
    """The text with whatever could steer a terminal written as an escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def hex_dump(value: bytes) -> Iterator[str]:
    """Lines of offset, bytes, and what of them is ASCII."""
    for begin in range(0, len(value), HEX_BYTES_A_LINE):
        line = value[begin : begin + HEX_BYTES_A_LINE]
        ascii_ = "".join(chr(each) if 32 <= each < 127 else "." for each in line)
        yield f"{begin:08x}  {line.hex(' '):<{3 * HEX_BYTES_A_LINE}} {ascii_}"
