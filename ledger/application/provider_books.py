"""The book of a provider, line by line, and the port that compares it with the payments of the ledger."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

import msgspec

from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check, Verdict

PAYMENTS_CHECK = "sagas"


class BookLineError(ValueError):
    """What was given is no provider's book, or cannot be read; the message says where and why."""


class BookLine(msgspec.Struct, frozen=True, kw_only=True):
    """A charge or refund as the provider has it; an amount in minor units. See docs/providers.md."""

    key: str
    kind: Literal["charge", "refund"]
    tenant: str
    payment: str
    amount: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    asset: str
    state: Literal["accepted", "declined"]
    named: str = ""
    """The provider's own reference; empty: not told."""

    @property
    def payment_id(self) -> str | None:
        """The id of its payment; None where it can be none."""
        try:
            return str(UUID(self.payment))
        except ValueError:
            return None


_decoder = msgspec.json.Decoder(BookLine)


def read_book_line(line: bytes, place: str) -> BookLine:
    """Read a line of JSON; raises BookLineError, which names its place."""
    try:
        read = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BookLineError(f"{place} is no line of a provider's book: {fault}") from fault
    if "\x00" in f"{read.key}{read.tenant}{read.payment}{read.asset}{read.named}":
        raise BookLineError(f"{place} is no line of a provider's book: it holds U+0000")
    return read


@dataclass(frozen=True, slots=True)
class ProviderBook:
    """The book of those `providers` (tenant and name): its lines are read once, in runs, while they are compared."""

    label: str
    providers: Collection[tuple[str, str]]
    lines: AsyncIterator[Sequence[BookLine]]
    others: Collection[tuple[str, str]] | None = None
    """Providers whose book this is not, where it holds lines for nobody but this ledger. None: lines of other
    tenants are somebody else's, and passed by."""


class BookAuditor(Protocol):
    """Compares the books of providers with the payments; may run beside live traffic."""

    async def compare(self, book: ProviderBook) -> Check:
        """Compare one; gives how many lines were looked at, and at most VIOLATIONS_SHOWN_MAX violations."""
        ...


def with_books(verdict: Verdict, compared: Sequence[Check]) -> Verdict:
    """Put what was found in the books of providers into the check of payments."""
    return Verdict(
        [_joined(check, compared) if check.name == PAYMENTS_CHECK else check for check in verdict.checks]
    )


def _joined(check: Check, compared: Sequence[Check]) -> Check:
    violations: list[dict[str, Any]] = [*check.violations]
    for each in compared:
        violations += each.violations
    checked = check.checked + sum(each.checked for each in compared)
    return Check(check.name, checked, violations[:VIOLATIONS_SHOWN_MAX])
