"""Keys of the API: what they look like, how they are kept, and what is done with them by hand."""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from ledger.application.access import Scope
from ledger.application.ports import Clock

SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
SECRET_BYTES = 32
NAME_CHARACTERS_MAX = 100

_KEY = re.compile(r"lk_([A-Za-z0-9]{16})_([A-Za-z0-9_-]{43})")
_KEY_ID = re.compile(r"[A-Za-z0-9]{16}")
_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

Randomness = Callable[[int], bytes]
"""Gives so many random bytes, fit for secrets."""


class KeyText(NamedTuple):
    """A key in its two parts: the id finds its row, the secret proves it."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        return f"lk_{self.key_id}_{self.secret}"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept: of its secret only an HMAC."""

    key_id: str
    tenant_id: int
    tenant: str
    name: str
    secret_hmac: bytes
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    ended_sessions: frozenset[str] = frozenset()
    """Marks of sessions of the console that were signed out of before their time."""

    def is_good_at(self, now: datetime) -> bool:
        """Tell whether it is neither revoked nor past its time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyWish(msgspec.Struct, frozen=True):
    """What a key shall be: whose, called what, for what, until when."""

    tenant: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None


class KeyStore(Protocol):
    """All keys, for those who make and revoke them. Every method may raise TransientFaultError."""

    async def add(self, key_id: str, secret_hmac: bytes, wish: KeyWish, at: datetime, by: str) -> bool:
        """Keep a key, and make its tenant if there is none; False if there is a key of this id already."""
        ...

    async def find(self, tenant: str | None, key_id: str | None) -> Sequence[ApiKey]:
        """Find keys, those of one tenant or the one of an id if asked, in the order in which they were made."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> None:
        """Revoke a key from `at`; one that is revoked stays so from when it was."""
        ...


class NoKeyError(Exception):
    """There is no key of this id."""


class KeyTakenError(Exception):
    """There is a key of this id already, with another secret or for another tenant."""


class ApiKeys:
    """Make, list and revoke keys."""

    def __init__(self, store: KeyStore, clock: Clock, randomness: Randomness, key_secret: str) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._key_secret = key_secret

    async def create(self, wish: KeyWish, by: str) -> tuple[KeyText, ApiKey]:
        """Make a key. Its text is nowhere but in the answer."""
        text = new_key(self._randomness)
        return text, await self._add(text, wish, by)

    async def ensure(self, text: KeyText, wish: KeyWish, by: str) -> ApiKey:
        """See to it that a given key is there; one that was revoked stays so. Raises KeyTakenError."""
        return await self._add(text, wish, by)

    async def find(self, tenant: str | None) -> Sequence[ApiKey]:
        return await self._store.find(tenant, None)

    async def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key; raises NoKeyError."""
        await self._store.revoke(key_id, self._clock.now())
        return await self._one(key_id)

    async def _add(self, text: KeyText, wish: KeyWish, by: str) -> ApiKey:
        secret_hmac = hmac_of(text.secret, self._key_secret)
        await self._store.add(text.key_id, secret_hmac, wish, self._clock.now(), by)
        kept = await self._one(text.key_id)
        if kept.tenant != wish.tenant or not hmac.compare_digest(kept.secret_hmac, secret_hmac):
            raise KeyTakenError(f"There is another key of the id {text.key_id}.")
        return kept

    async def _one(self, key_id: str) -> ApiKey:
        found = await self._store.find(None, key_id)
        if not found:
            raise NoKeyError(f"There is no key {key_id}.")
        return found[0]


def parse_key(text: str) -> KeyText | None:
    """Take a key apart; None if it is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else KeyText(found[1], found[2])


def is_key_id(text: str) -> bool:
    return _KEY_ID.fullmatch(text) is not None


def new_key(randomness: Randomness) -> KeyText:
    """Make the text of a key."""
    return KeyText(_key_id(randomness), base64.urlsafe_b64encode(randomness(SECRET_BYTES)).decode()[:43])


def hmac_of(secret: str, key_secret: str) -> bytes:
    """Give what is kept of a secret: its HMAC-SHA-256."""
    return hmac.digest(key_secret.encode(), secret.encode(), "sha256")


def scopes_of(asked: Iterable[Scope]) -> frozenset[Scope]:
    """Give the scopes that are asked for, with those that they include."""
    highest = max((SCOPES.index(scope) for scope in asked), default=-1)
    return frozenset(SCOPES[: highest + 1])


def _key_id(randomness: Randomness) -> str:
    # Of a byte that would favour some letters, nothing is taken.
    letters = ""
    while len(letters) < 16:
        letters += "".join(_ALPHANUMERIC[byte % 62] for byte in randomness(24) if byte < 248)
    return letters[:16]
