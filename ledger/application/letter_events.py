"""What became in the books of the event that a dead letter was sent again as."""

from datetime import datetime
from enum import StrEnum

import msgspec

from ledger.application.dead_letters import Deed, StoredLetter, event_of
from ledger.application.replaying import Precedents
from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.domain.commands import Event


class Stands(StrEnum):
    """How an event stands in the books."""

    POSTED = "posted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    """The books have not come to it yet, or know nothing of it any more."""
    REUSED = "event_id_reused"
    """The books had its id before, for an event with other content."""


class LetterEvent(msgspec.Struct, frozen=True):
    """The event that a letter was sent again as, and how it stands."""

    tenant: str
    id: str
    stands: Stands
    at: datetime | None = None
    reason: str | None = None
    detail: str | None = None


class FindLetterEvent:
    """Tells what became of letters that were requeued, as they came or mended."""

    def __init__(self, books: Precedents, *, bytes_max: int) -> None:
        self._books = books
        self._bytes_max = bytes_max

    async def __call__(self, stored: StoredLetter) -> LetterEvent | None:
        """Ask the books; None: it was not sent again, or not as an event. May raise TransientFaultError."""
        event = self._sent(stored)
        if event is None:
            return None
        found = (await self._books.of([event])).get(event.identity)
        if found is None:
            return LetterEvent(event.tenant, event.id, Stands.UNKNOWN)
        if found.fingerprint != event.fingerprint:
            return LetterEvent(event.tenant, event.id, Stands.REUSED, found.posted_at)
        stands = Stands.REJECTED if found.kind == "rejected" else Stands.POSTED
        return LetterEvent(event.tenant, event.id, stands, found.posted_at, found.reason, found.detail)

    def _sent(self, stored: StoredLetter) -> Event | None:
        action = stored.action
        if action is None or action.deed is not Deed.REQUEUED:
            return None
        if action.edited_value is None:
            return event_of(stored.letter, self._bytes_max)
        try:
            return decode_event(action.edited_value, bytes_max=self._bytes_max)
        except NotAnEventError:
            # A version that took it wrote that down.
            return None
