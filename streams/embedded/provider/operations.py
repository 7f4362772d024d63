"""What the provider knows of each key: decided once, told as often as asked."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from streams.embedded.provider.book import Book, Line
from streams.embedded.provider.script import Rule

Now = Callable[[], float]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request: a refund names its charge, a charge its account."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    tenant: str
    payment: str
    amount: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    asset: str
    account: str = ""
    reference: str = ""
    charge: str = ""


@dataclass(slots=True)
class _Entry:
    line: Line
    durable: "asyncio.Future[None] | None" = None


class Operations:
    """The book in memory, where it is decided, before the one on disk, without which nothing is told."""

    def __init__(self, book: Book, now: Now) -> None:
        self._book = book
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._charges: dict[str, Line] = {}
        self._refunded: dict[str, int] = {}
        for line in book.all_lines():
            self._take(_Entry(line))

    def charge_named(self, named: str) -> Line | None:
        """Give the accepted charge of a reference."""
        return self._charges.get(named)

    async def find(self, key: str) -> Line | None:
        """Give the line of a key once it is on disk; raises what kept it from there."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.durable is not None:
            await asyncio.shield(entry.durable)
        return entry.line

    async def book(self, asked: Asked, rule: Rule) -> Line:
        """Decide a key that is new, else give what was decided.

        Raises what kept it from the disk; then nothing happened.
        """
        entry = self._entries.get(asked.key)
        if entry is None:
            entry = _Entry(self._decide(asked, rule))
            entry.durable = self._book.write(entry.line)
            entry.durable.add_done_callback(lambda durable: self._written(entry, durable))
            self._take(entry)
        if entry.durable is not None:
            await asyncio.shield(entry.durable)
        return entry.line

    def _written(self, entry: _Entry, durable: "asyncio.Future[None]") -> None:
        entry.durable = None
        if durable.exception() is not None:
            self._put_back(entry)

    def _decide(self, asked: Asked, rule: Rule) -> Line:
        now = self._now()
        reason = rule.reason if rule.do == "decline" else self._refund_fault(asked) if asked.charge else ""
        digest = hashlib.blake2b(asked.key.encode(), digest_size=12).hexdigest()
        return Line(
            **msgspec.structs.asdict(asked),
            kind="refund" if asked.charge else "charge",
            state="declined" if reason else "accepted",
            named=f"{'re' if asked.charge else 'ch'}_{digest}",
            reason=reason,
            booked_at=now,
            final_at=now + rule.pend_s if rule.do == "pend" else now,
        )

    def _refund_fault(self, asked: Asked) -> str:
        charge = self._charges.get(asked.charge)
        if charge is None or (charge.tenant, charge.asset) != (asked.tenant, asked.asset):
            return "charge_not_found"
        taken_back = self._refunded.get(asked.charge, 0) + asked.amount
        return "exceeds_charge" if taken_back > charge.amount else ""

    def _take(self, entry: _Entry) -> None:
        line = entry.line
        self._entries[line.key] = entry
        if line.state == "accepted" and line.kind == "charge":
            self._charges[line.named] = line
        elif line.state == "accepted":
            self._refunded[line.charge] = self._refunded.get(line.charge, 0) + line.amount

    def _put_back(self, entry: _Entry) -> None:
        line = entry.line
        del self._entries[line.key]
        if line.state == "accepted" and line.kind == "charge":
            del self._charges[line.named]
        elif line.state == "accepted":
            self._refunded[line.charge] -= line.amount
