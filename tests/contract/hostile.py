"""Hostile bytes: those that are kept in `corpus`, those too large to keep, and a strategy that makes more."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ledger.contract.decode import RECORD_BYTES_MAX
from ledger.contract.event_types import COMMANDS
from ledger.contract.examples import incoming_example

CORPUS = Path(__file__).parent / "corpus"
DEPTH = 100_000
FITTING = RECORD_BYTES_MAX - 1024
"""So much fits into a record beside an event."""

TOKENS = [
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1e-400",
        "1" + "0" * 30,
        "-1" + "0" * 30,
        "-0",
        "0",
    ),
    *(
        "9" * 5000,
        "1." + "0" * 5000 + "1",
        "9223372036854775807",
        "9223372036854775808",
        "1.0",
        "0.1",
        "01",
        "+1",
    ),
    *("null", "true", "false", "[]", "{}", '""', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ufeff"'),
    *(
        '"0001-01-01T00:00:00+23:59"',
        '"9999-12-31T23:59:59-23:59"',
        '"2026-02-30T00:00:00Z"',
        '"\x7f"',
        "'x'",
    ),
    *(
        '{"a":1,"a":2}',
        '[1,"x",null,{"a":[]}]',
        '"' + "x" * 5000 + '"',
        '"../../etc/passwd"',
        '"%s%n\'; drop"',
    ),
    *("undefined", "/*", "", ",", "[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, '"\\x00"', '"\t"'),
]
"""Texts that stand in the place of a member's value, whether they are JSON or not."""


def kept() -> Iterator[tuple[str, bytes]]:
    """Give every record of the corpus, by the name of its file."""
    for path in sorted(CORPUS.iterdir()):
        yield path.stem, path.read_bytes()


def huge() -> Iterator[tuple[str, bytes]]:
    """Give what is deep, or as large as a record may be, or larger."""
    begin = json.dumps(incoming_example("transfer.post.v1")).encode()[:-1]
    yield "lists", b"[" * DEPTH + b"]" * DEPTH
    yield "lists without an end", b"[" * FITTING
    yield "objects", b'{"a":' * (FITTING // 6) + b"1" + b"}" * (FITTING // 6)
    yield "deep unread member", begin + b',"x":' + b"[" * DEPTH + b"]" * DEPTH + b"}"
    yield "deep data", begin + b',"data":' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}"
    yield "deep metadata", _with_metadata('{"a":' * 30_000 + "1" + "}" * 30_000)
    yield "wide metadata", _with_metadata("{" + ",".join(f'"{n}":[]' for n in range(FITTING // 12)) + "}")
    yield "lists in metadata", _with_metadata('{"a":[' + "[]," * (FITTING // 4) + "[]]}")
    yield "a long text", begin + b',"source":"' + b"x" * FITTING + b'"}'
    yield "escapes", begin + b',"x":"' + b"\\u0041" * (FITTING // 7) + b'"}'
    yield "a long number", begin + b',"x":' + b"9" * FITTING + b"}"
    yield "a long amount", begin + b',"data":{"amount":' + b"9" * FITTING + b"}}"
    yield "a long fraction", begin + b',"data":{"amount":0.' + b"1" * FITTING + b"}}"
    yield "one member many times", begin + b',"tenant":"a"' * (FITTING // 14) + b"}"
    yield "many members", begin + b"".join(b',"%d":0' % n for n in range(FITTING // 12)) + b"}"
    yield "many entries", _entries(FITTING // 60)
    yield "one byte too many", b" " * (RECORD_BYTES_MAX + 1)
    yield "not text", b"\xff" * FITTING
    yield "spaces", b" " * RECORD_BYTES_MAX
    yield "NUL", b"\x00" * RECORD_BYTES_MAX


def _example(event_type: str) -> dict[str, Any]:
    return deepcopy(dict(incoming_example(event_type)))


def _with_metadata(text: str) -> bytes:
    marked = _example("transaction.post.v1")
    marked["data"]["metadata"] = "MARK"
    return json.dumps(marked).replace('"MARK"', text).encode()


def _entries(count: int) -> bytes:
    marked = _example("transaction.post.v1")
    marked["data"]["entries"] = [{"account": f"a:{n}", "asset": "USD/2", "amount": 1} for n in range(count)]
    return json.dumps(marked, separators=(",", ":")).encode()


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Make an event, put something hostile in the place of some members, then change some bytes."""
    event = _example(draw(st.sampled_from(sorted(COMMANDS))))
    texts = {}
    for number in range(draw(st.integers(0, 3))):
        mark = f"MARK{number}"
        _put(draw, event, mark)
        texts[f'"{mark}"'] = draw(st.sampled_from(TOKENS) | st.text(max_size=20))
    made = json.dumps(event, ensure_ascii=draw(st.booleans()))
    for mark, text in texts.items():
        made = made.replace(mark, text)
    return _bytes_changed(draw, made.encode("utf-8", "surrogatepass"))


def _put(draw: st.DrawFn, event: dict[str, Any], mark: str) -> None:
    """Put the mark under a member that there is, or a new one, of the envelope, the data or what is in it."""
    holders = [event, *_inner(event)]
    chosen = draw(st.sampled_from(holders))
    if isinstance(chosen, dict):
        names = [*chosen, "type", "version", "metadata", "effective_at", "specversion", "partitionkey", ""]
        chosen[draw(st.sampled_from(names))] = mark
    elif chosen:
        chosen[draw(st.integers(0, len(chosen) - 1))] = mark


def _inner(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield each
            yield from _inner(each)


def _bytes_changed(draw: st.DrawFn, value: bytes) -> bytes:
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 5]))):
        at = draw(st.integers(0, len(value)))
        length = draw(st.integers(0, 8))
        more = draw(
            st.binary(max_size=4) | st.sampled_from([b"\xef\xbb\xbf", b"\x00", b"\xed\xa0\x80", b'"', b"}"])
        )
        value = value[:at] + more + value[at + length :]
    return value
