"""O: what became of each event, by a second opinion that follows the commits in their order."""

import copy
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.domain.commands import CaptureHold, Event, RequestPayment, VoidHold
from ledger.domain.outcome import Earlier
from tests.naive import NaiveBooks
from tests.simulation.checks.books import event_at
from tests.simulation.drawing import POISON
from tests.simulation.plan import bytes_of
from tests.simulation.postgres import Seen
from tests.simulation.world import World

HORIZON_MS = timedelta(days=90) // timedelta(milliseconds=1)
FUTURE_MS = timedelta(minutes=5) // timedelta(milliseconds=1)


class Decided(NamedTuple):
    """What the books say of an event, and between which commits its batch saw them."""

    event: Event
    earlier: Earlier
    seen: Seen

    @property
    def answer(self) -> str:
        return str(self.earlier.reason or self.earlier.kind)


def decisions_agree(world: World) -> Iterator[str]:
    """O: whatever was posted, refused or called a duplicate had to be, says a second opinion."""
    contents, strangers = world.server.books.contents, _ids_of_producers(world)
    followed: dict[str, Opinion] = {}
    for number, ((tenant, event_id), earlier) in enumerate(contents.processed.items()):
        event = event_at(world, earlier.partition, earlier.offset)
        opinion = followed.setdefault(tenant, Opinion(strangers))
        decided = Decided(event, earlier, world.server.seen[number])
        said = opinion.of(number, decided)
        if said != decided.answer:
            yield f"O event {event_id} of {tenant} was {decided.answer}, and a second opinion says {said}"


class Opinion:
    """A second opinion on the decisions of one tenant, given one after the other as they were committed."""

    def __init__(self, strangers: frozenset[str]) -> None:
        self._strangers = strangers
        self._books = NaiveBooks()
        self._before: list[tuple[int, Decided]] = []

    def of(self, number: int, decided: Decided) -> str:
        """Say what the event has to come to; one that was not posted leaves the books as they are."""
        is_posted = decided.answer == "posted"
        said = self._answer(self._books, decided) if is_posted else self._without_it(decided)
        self._before.append((number, decided))
        return said

    def _without_it(self, decided: Decided) -> str:
        """Ask of the books at the commit, and, if it was otherwise, of those of each commit that the batch ran beside.

        What is not there cannot be locked: who asks for it does not see it if it is committed a moment later.
        """
        said = self._answer(copy.deepcopy(self._books), decided)
        if said == decided.answer or self._is_of_a_saga(decided.event) or self._would_be_late(decided):
            return decided.answer
        for known in range(decided.seen.began, decided.seen.committed):
            if self._answer(self._books_of(known, decided), decided) == decided.answer:
                return decided.answer
        return said

    def _would_be_late(self, decided: Decided) -> bool:
        """Tell whether a capture would be dated after its hold's end: nothing is dated before what was posted."""
        posted = [each.earlier.posted_at for _, each in self._before if each.answer == "posted"]
        if decided.answer != "hold_expired" or not posted:
            return False
        late = msgspec.structs.replace(decided.earlier, posted_at=max(posted))
        said = self._answer(copy.deepcopy(self._books), decided._replace(earlier=late))
        return isinstance(decided.event.command, CaptureHold) and said == decided.answer

    def _books_of(self, known: int, decided: Decided) -> NaiveBooks:
        """Give the books as of the first `known` decisions, and what the same batch decided before."""
        books = NaiveBooks()
        for number, each in self._before:
            if each.answer == "posted" and (number < known or number >= decided.seen.committed):
                self._answer(books, each)
        return books

    def _answer(self, books: NaiveBooks, decided: Decided) -> str:
        untimely = self._untimely(decided)
        if untimely:
            return untimely
        if self._is_of_a_saga(decided.event) and decided.answer == "posted":
            _let_saga(books, decided.event)
        return books.answer(decided.event, decided.earlier.posted_at)

    def _untimely(self, decided: Decided) -> str:
        if self._is_of_a_saga(decided.event):
            return ""  # a saga waits for its own event, however late it comes
        ahead = (UUID(decided.event.id).int >> 80) - int(decided.earlier.posted_at.timestamp() * 1000)
        if ahead < -HORIZON_MS:
            return "event_too_old"
        return "event_from_future" if ahead > FUTURE_MS else ""

    def _is_of_a_saga(self, event: Event) -> bool:
        """Which of its own events a payment's saga lets happen is a matter of the checks of sagas."""
        command = event.command
        if not isinstance(command, CaptureHold | VoidHold) or event.id in self._strangers:
            return False
        hold = self._books.holds.get(command.hold)
        return hold is not None and isinstance(hold.command, RequestPayment)


def _let_saga(books: NaiveBooks, event: Event) -> None:
    command = event.command
    if isinstance(command, CaptureHold | VoidHold):
        what = "capture" if isinstance(command, CaptureHold) else "release"
        books.holds[command.hold].only = (event.id, what)


def _ids_of_producers(world: World) -> frozenset[str]:
    values = (bytes_of(sent.value) for sent in world.plan.sent)
    return frozenset(json.loads(value or b"")["id"].lower() for value in values if value not in POISON)
