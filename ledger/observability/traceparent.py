"""Where a span stands in its trace, as W3C's `traceparent` writes it."""

import re
import secrets
from collections.abc import Callable
from typing import NamedTuple

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1
_LENGTH = 55


class TraceContext(NamedTuple):
    """A span, named by its trace and itself; ids in hexadecimal digits."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def text(self) -> str:
        """Write it as a `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    def child(self) -> "TraceContext":
        """Make another span of this trace."""
        return self._replace(span_id=secrets.token_hex(8))


def begin(*, is_sampled: bool) -> TraceContext:
    """Begin a trace with its first span."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8), is_sampled)


def read(text: str | None) -> TraceContext | None:
    """Read a `traceparent`; None for what is none. Of versions to come, what this one knows."""
    if text is None or len(text) < _LENGTH:
        return None
    found = _FORM.fullmatch(text[:_LENGTH])
    if found is None or found[1] == "ff" or (found[1] == "00" and len(text) > _LENGTH):
        return None
    if not found[2].strip("0") or not found[3].strip("0"):
        return None
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


def sampled(text: str | None) -> TraceContext | None:
    """Read a `traceparent`, if its trace is kept."""
    context = read(text)
    return context if context is not None and context.is_sampled else None


CalledFrom = Callable[[str | None], str | None]
"""Gives the `traceparent` that a call is made under, for the one that it is made for."""


def as_given(text: str | None) -> str | None:
    """Give what a call is made under where no traces are kept: what was given, if it is one."""
    return None if read(text) is None else text


def called_from(text: str | None) -> str | None:
    """Give what a call is made under: a span of its own where the trace is kept, else what was given."""
    context = sampled(text)
    return as_given(text) if context is None else context.child().text
