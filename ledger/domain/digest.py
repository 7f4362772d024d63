"""Digests: 32 bytes for a standing, a tenant or all books; equal books have equal ones."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from ledger.domain.account import BalanceKey

DIGEST_BYTES = 32


class Standing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How an account stands in one asset: totals, what is held (minor units), and the number of its entries."""

    tenant: str
    account: str
    asset: str
    posted_debits: int
    posted_credits: int
    held: int
    version: int
    entries: int = 0
    """The sum of hashes of its entries, in whatever order; 0 where they were not read."""

    @property
    def key(self) -> BalanceKey:
        return self.tenant, self.account, self.asset

    @property
    def is_blank(self) -> bool:
        """Tell whether nothing stands there, as where a hold was placed and let go: books may or may not have a row."""
        return not (self.version or self.held or self.posted_debits or self.posted_credits)


def hash_of_line(event_id: str, line: int, amount: int) -> int:
    """Give the hash of an entry that books sum up: 64 bits, with a sign."""
    text = f"{event_id}/{line}/{amount}".encode()
    return int.from_bytes(hashlib.md5(text, usedforsecurity=False).digest()[:8], signed=True)


class UnorderedError(ValueError):
    """Standings did not come in the order of their keys: a fault in whoever reads them."""


def digest_of(standing: Standing) -> bytes:
    """Digest one standing; no part can hold the separator."""
    totals = standing.posted_debits, standing.posted_credits, standing.held, standing.version
    parts = (*standing.key, *totals, standing.entries)
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=DIGEST_BYTES).digest()


class BooksDigest(msgspec.Struct, frozen=True):
    """The digest of all books, and of each tenant's."""

    overall: bytes
    tenants: dict[str, bytes]
    standings: int

    def as_dict(self) -> dict[str, Any]:
        """Give the shape that `ledger digest --json` prints."""
        tenants = {tenant: digest.hex() for tenant, digest in self.tenants.items()}
        return {"digest": self.overall.hex(), "standings": self.standings, "tenants": tenants}


class DigestBuilder:
    """Digests standings as they come, in the order of tenant, account and asset by their bytes."""

    def __init__(self) -> None:
        self._overall = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._tenants: dict[str, bytes] = {}
        self._tenant: Any = None
        self._last: BalanceKey | None = None
        self._count = 0

    def add(self, standing: Standing) -> None:
        """Take in the next standing; raises UnorderedError."""
        if self._last is not None and standing.key <= self._last:
            raise UnorderedError(f"{standing.key} comes after {self._last}")
        if standing.is_blank:
            return
        if self._last is None or self._last[0] != standing.tenant:
            self._end_tenant()
            self._tenant = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._last = standing.key
        self._count += 1
        digest = digest_of(standing)
        self._tenant.update(digest)
        self._overall.update(digest)

    def _end_tenant(self) -> None:
        if self._last is not None:
            self._tenants[self._last[0]] = self._tenant.digest()

    def build(self) -> BooksDigest:
        """Give the digest of all that was added."""
        self._end_tenant()
        return BooksDigest(self._overall.digest(), dict(self._tenants), self._count)


def digest_books(standings: Iterable[Standing]) -> BooksDigest:
    """Digest standings in the order of their keys; raises UnorderedError."""
    builder = DigestBuilder()
    for standing in standings:
        builder.add(standing)
    return builder.build()
