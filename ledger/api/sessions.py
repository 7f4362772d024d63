"""Sessions of the console: who has signed in with which key, signed, and kept by the browser alone."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from ledger.application.access import Caller
from ledger.application.api_keys import Randomness

COOKIE = "ledger_console"
PATH = "/console"
TOKEN_BYTES = 16
MARK_DIGITS = 32


class Session(msgspec.Struct, frozen=True):
    """Of one browser. `token` must come with everything that it sends; without a caller nobody has signed in."""

    token: str
    until: int
    """It counts before this second since 1970."""
    ends: int
    """However much it is used, it counts before this second since 1970."""
    caller: Caller | None = None

    @property
    def mark(self) -> str:
        """Name it where it is kept that it was signed out of; its token cannot be worked out from that."""
        return f"{self.ends:012d}.{hashlib.sha256(self.token.encode()).hexdigest()[:MARK_DIGITS]}"


class Sessions:
    """Writes sessions as text that nobody else can write, and reads them.

    They last `lasts_s` seconds from a use, and `ends_s` from the sign-in at most; not longer than their key.
    """

    def __init__(self, key_secret: str, randomness: Randomness, *, lasts_s: int, ends_s: int) -> None:
        self._signed = URLSafeSerializer(
            key_secret,
            salt="session of the console",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._randomness = randomness
        self._lasts_s = lasts_s
        self._ends_s = ends_s

    def begin(self, now: datetime, caller: Caller | None = None) -> Session:
        """Begin one, with a token of its own."""
        ends = int(now.timestamp()) + self._ends_s
        if caller is not None and caller.expires_at is not None:
            ends = min(ends, int(caller.expires_at.timestamp()))
        return Session(self._randomness(TOKEN_BYTES).hex(), self._until(now, ends), ends, caller)

    def renewed(self, session: Session, now: datetime) -> Session | None:
        """Have it last from now on; None: it will last long enough as it is, or can last no longer."""
        left_s = session.until - now.timestamp()
        until = self._until(now, session.ends)
        if left_s > self._lasts_s / 2 or until <= session.until:
            return None
        return msgspec.structs.replace(session, until=until)

    def _until(self, now: datetime, ends: int) -> int:
        return min(int(now.timestamp()) + self._lasts_s, ends)

    def write(self, session: Session) -> str:
        """Write what the cookie holds."""
        text = self._signed.dumps(msgspec.to_builtins(session, order="sorted"))
        return text if isinstance(text, str) else text.decode()

    def read(self, text: str | None, now: datetime) -> Session | None:
        """Read what `write` wrote; None: it is none, or past its time."""
        try:
            said: Any = self._signed.loads(text or "")
            session = msgspec.convert(said, Session)
        except (BadData, msgspec.ValidationError):
            return None
        return session if now.timestamp() < session.until else None
