"""The audit chain: each tenant's transactions in a row of links, each of which has the hash of the one before it."""

import hashlib
from binascii import unhexlify
from collections.abc import Iterator, Sequence
from decimal import Decimal
from struct import Struct
from typing import Any

import msgspec

HASH_BYTES = 32
FORM = 1
"""The version of the canonical form of a transaction."""

_encoder = msgspec.json.Encoder()


# The hash before it, number, event id, digest, late.
_LINK_BODY = Struct(">32sQ16s32s?")


def _blake2b(person: bytes) -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=HASH_BYTES, person=person)


# Begun once and copied: half the price of a short hash is to begin it.
_TRANSACTION, _LINK, _TENANT = map(_blake2b, (b"ledger.posted", b"ledger.link", b"ledger.tenant"))


class ChainedLine(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One entry of a posted transaction, as it stands in the books (minor units): the canonical form's array."""

    account: str | None
    """None: the books do not say of which account it is any more."""
    asset: str
    amount: int
    version: int
    posted_debits: int
    posted_credits: int
    posted_at_us: int
    """Microseconds since 1970."""


class ChainedTransaction(msgspec.Struct, frozen=True, gc=False, array_like=True, tag_field="form", tag=FORM):
    """A posted transaction with all that the chain vouches for, in the order of the canonical form's array."""

    tenant: str
    event_id: str
    type: str
    posted_at_us: int
    effective_at_us: int
    reference: str | None
    metadata: str | None
    """Canonical JSON."""
    reverses: str | None
    captures: str | None
    lines: Sequence[ChainedLine]
    """In their order."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where a tenant's chain ends: the number of its last link, 0 for none, and its hash."""

    number: int
    hash: bytes


class Link(msgspec.Struct, frozen=True, gc=False):
    """One link; `late` if its transaction was found in the books and not heard of in the stream."""

    tenant: str
    number: int
    event_id: str
    digest: bytes
    hash: bytes
    late: bool = False

    @property
    def head(self) -> Head:
        return Head(self.number, self.hash)


class LinkFault(msgspec.Struct, frozen=True):
    """What is wrong at one place of a chain."""

    what: str
    tenant: str
    number: int
    event: str | None = None


def canonical_json(value: Any) -> str:
    """Write JSON in the one way that equal JSON is written: names sorted, and numbers as digits and an exponent.

    A number is `0`, or its digits without zeros at the end, `e`, and the power of ten that they are multiplied by.
    """
    if isinstance(value, str):
        return _encoder.encode(value).decode()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        members = [f"{canonical_json(name)}:{canonical_json(value[name])}" for name in sorted(value)]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    return _canonical_number(value if isinstance(value, Decimal) else Decimal(repr(value)))


def _canonical_number(number: Decimal) -> str:
    sign, digits, exponent = number.as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    kept = written.rstrip("0")
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is no number of JSON")
    if not kept:
        return "0"
    return f"{'-' if sign else ''}{kept}e{exponent + len(written) - len(kept)}"


def canonical_form(transaction: ChainedTransaction) -> bytes:
    """Write a transaction as a JSON array without spaces, in UTF-8; the version of the form stands first."""
    return _encoder.encode(transaction)


def digest_of(transaction: ChainedTransaction) -> bytes:
    """Digest a transaction: 32 bytes of BLAKE2b over its canonical form."""
    return _hashed(_TRANSACTION, canonical_form(transaction))


def first_head(tenant: str) -> Head:
    """Give the head of a chain without links: no two tenants' chains begin alike."""
    return Head(0, _hashed(_TENANT, tenant.encode()))


def hash_of(previous: bytes, number: int, event_id: str, digest: bytes, *, late: bool) -> bytes:
    """Hash one link onto the hash of the one before it."""
    return _hashed(
        _LINK, _LINK_BODY.pack(previous, number, unhexlify(event_id.replace("-", "")), digest, late)
    )


def _hashed(begun: "hashlib.blake2b", body: bytes) -> bytes:
    state = begun.copy()
    state.update(body)
    return state.digest()


def follows(head: Head, link: Link) -> bool:
    """Whether a link stands right after that head, and has its hash in its own."""
    hashed = hash_of(head.hash, link.number, link.event_id, link.digest, late=link.late)
    return link.head == Head(head.number + 1, hashed)


def extend(
    tenant: str, head: Head, transactions: Sequence[ChainedTransaction], *, late: bool = False
) -> list[Link]:
    """Give the links that put transactions of one tenant onto its chain, in their order."""
    links = []
    for transaction in transactions:
        number, digest = head.number + 1, digest_of(transaction)
        hashed = hash_of(head.hash, number, transaction.event_id, digest, late=late)
        head = Head(number, hashed)
        links.append(Link(tenant, number, transaction.event_id, digest, hashed, late))
    return links


class Walk:
    """Walks the chain of one tenant from its first link, and names each place where something was done to it."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        first = first_head(tenant)
        self._number = first.number
        self._hash = first.hash
        # What the link before should have had, if that is something else: so one changed hash is one fault.
        self._previous: tuple[bytes, ...] = (first.hash,)

    def look(self, link: Link, transaction: ChainedTransaction | None) -> Iterator[LinkFault]:
        """Look at the next link, and at its transaction as it stands in the books, if it does."""
        if link.number != self._number + 1:
            yield LinkFault("links are missing from here on", self._tenant, self._number + 1)
            self._previous = ()
        expected = [
            hash_of(previous, link.number, link.event_id, link.digest, late=link.late)
            for previous in self._previous
        ]
        if expected and link.hash not in expected:
            yield self._fault("the link was changed", link)
        self._number, self._hash = link.number, link.hash
        self._previous = (link.hash, *expected[:1])
        if transaction is None:
            yield self._fault("the transaction is gone", link)
        elif digest_of(transaction) != link.digest:
            yield self._fault("the transaction was changed", link)

    def end(self, head: Head | None) -> Iterator[LinkFault]:
        """Compare where the links ended with where the chain is said to end."""
        if head is None:
            yield LinkFault("the end of the chain is not known any more", self._tenant, self._number)
        elif head.number > self._number:
            yield LinkFault("links are missing from here on", self._tenant, self._number + 1)
        elif head.number < self._number:
            yield LinkFault("links come after the end of the chain", self._tenant, head.number + 1)
        elif head.hash != self._hash:
            yield LinkFault("the end of the chain was changed", self._tenant, head.number)

    def _fault(self, what: str, link: Link) -> LinkFault:
        return LinkFault(what, self._tenant, link.number, link.event_id)
