"""What became of the event that a dead letter was sent again as."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from ledger.application.dead_letters import Action, Deed, StoredLetter
from ledger.application.letter_events import FindLetterEvent, LetterEvent, Stands
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.decode import RECORD_BYTES_MAX, decode_event
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier
from ledger.domain.rejection import Reason
from tests.builders import NOW, body, encoded

EVENT = encoded(body())


class Books:
    """Precedents that know one event, or none."""

    def __init__(self, known: Earlier | None) -> None:
        self._known = known

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        return {} if self._known is None else {each.identity: self._known for each in events}


def requeued(
    edited: bytes | None = None, came: bytes = b"nonsense", deed: Deed = Deed.REQUEUED
) -> StoredLetter:
    letter = DeadLetter(Record("payments", 0, 1, None, came, ()), DeadLetterReason.MALFORMED_JSON, "why", NOW)
    return StoredLetter(letter, Action(deed, "ann", NOW, None, edited))


async def found(stored: StoredLetter, known: Earlier | None = None) -> LetterEvent | None:
    return await FindLetterEvent(Books(known), bytes_max=RECORD_BYTES_MAX)(stored)


def earlier(kind: Any = "posted", **given: Any) -> Earlier:
    return Earlier(**{"fingerprint": decode_event(EVENT).fingerprint, "kind": kind, "posted_at": NOW} | given)


@pytest.mark.parametrize(
    "stored",
    [
        msgspec.structs.replace(requeued(EVENT), action=None),
        requeued(EVENT, deed=Deed.DROPPED),
        requeued(),
        requeued(b"still no event"),
    ],
    ids=["open", "dropped", "as it came", "another version's"],
)
async def test_a_letter_that_was_sent_as_no_event_became_none(stored: StoredLetter) -> None:
    assert await found(stored, earlier()) is None


@pytest.mark.parametrize("stored", [requeued(EVENT), requeued(came=EVENT)], ids=["mended", "as it came"])
async def test_what_became_of_a_letter_is_what_the_books_say(stored: StoredLetter) -> None:
    sent = decode_event(EVENT)
    refusal = earlier("rejected", reason=Reason.INSUFFICIENT_FUNDS, detail="too little")
    for known, told in (
        (None, (Stands.UNKNOWN,)),
        (earlier(), (Stands.POSTED, NOW, None, None)),
        (refusal, (Stands.REJECTED, NOW, "insufficient_funds", "too little")),
        (earlier(fingerprint=b"another"), (Stands.REUSED, NOW)),
    ):
        assert await found(stored, known) == LetterEvent(sent.tenant, sent.id, *told)
