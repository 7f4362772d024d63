"""Dead letters that a replay has brought into the books: written down as handled."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from ledger.application.dead_letters import Action, DeadLetters, Deed, Place
from ledger.domain.books import EventKey
from ledger.domain.outcome import Outcome
from streams.replay.plan import Fate, Placed
from streams.replay.run import insist

Settle = Callable[[Sequence[Placed], Sequence[Outcome]], Awaitable[None]]


def closing_letters(letters: DeadLetters, by: str, why: str) -> Settle:
    """Give what writes down, of each letter that came to an outcome, which one it was."""

    async def settle(batch: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        found = {outcome.event.identity: outcome for outcome in outcomes}
        ended = sorted(_ended(batch, found))
        for told, group in groupby(ended, key=lambda each: each[0]):
            places = [place for _, place in group]
            action = Action(Deed.REQUEUED, by, datetime.now(UTC), f"{told}: {why}")
            await insist(partial(letters.record, places, action))

    return settle


def _ended(batch: Sequence[Placed], outcomes: dict[EventKey, Outcome]) -> Iterator[tuple[str, Place]]:
    for each in batch:
        event = each.event
        if event is None or event.topic is None or event.partition is None or event.offset is None:
            continue
        place = Place(event.topic, event.partition, event.offset)
        if each.fate is Fate.KNOWN:
            yield "the books have its event", place
        elif each.fate is Fate.POST:
            yield _told(outcomes[event.identity]), place


def _told(outcome: Outcome) -> str:
    return f"replayed, {outcome.reason or outcome.kind}"
