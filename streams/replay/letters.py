"""Dead letters in a replay: known where they stand in the topic, and written down as handled once they are posted."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

import msgspec

from ledger.application.dead_letters import SUMMARIES_MAX, Action, DeadLetters, Deed, Place
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from streams.replay.plan import EventPlace, Fate, Placed, place_of
from streams.replay.run import FindLetters, Hold, insist
from streams.replay.wish import Source

Settle = Callable[[Sequence[Placed], Sequence[Outcome]], Awaitable[None]]


def finding_letters(letters: DeadLetters, source: Source) -> FindLetters | None:
    """Give what tells at which places of some events dead letters were found, whatever became of them.

    Of a source of letters, nothing: they are what is meant.
    """

    async def find(events: Sequence[Event]) -> Collection[EventPlace]:
        places = [Place(*place) for event in events if (place := place_of(event)) is not None]
        return {summary.place for summary in await letters.summaries(places)} if places else ()

    return None if source.kind == "dead-letters" else find


def holding_letters(letters: DeadLetters) -> Hold:
    """Give what keeps operators from the letters of a batch, and sets apart those that one of them has handled."""

    @asynccontextmanager
    async def hold(batch: Sequence[Placed]) -> AsyncIterator[Sequence[Placed]]:
        places = [place for each in batch if (place := _letter_of(each))]
        async with AsyncExitStack() as stack:
            handled = await insist(lambda: _held(stack, letters, places))
            yield [
                msgspec.structs.replace(each, fate=Fate.HANDLED) if _letter_of(each) in handled else each
                for each in batch
            ]

    return hold


async def _held(stack: AsyncExitStack, letters: DeadLetters, places: Sequence[Place]) -> Collection[Place]:
    """Take hold of letters, and tell which of them were handled before; raises TransientFaultError."""
    async with AsyncExitStack() as taken:
        ensure_held = await taken.enter_async_context(letters.held())
        handled = await _handled(letters, places)
        await ensure_held()
        stack.push_async_exit(taken.pop_all())
    return handled


async def _handled(letters: DeadLetters, places: Sequence[Place]) -> Collection[Place]:
    found: set[Place] = set()
    for begin in range(0, len(places), SUMMARIES_MAX):
        page = await letters.summaries(places[begin : begin + SUMMARIES_MAX])
        found |= {each.place for each in page if each.action is not None}
    return found


def _letter_of(placed: Placed) -> Place | None:
    stands = place_of(placed.event) if placed.event else None
    return None if stands is None else Place(*stands)


def closing_letters(letters: DeadLetters, by: str, why: str, ensure: Callable[[], Awaitable[None]]) -> Settle:
    """Give what writes down, of each letter that came to an outcome, which one it was.

    `ensure` raises where the books may have lost that outcome since: they failed over.
    """

    async def record(places: Sequence[Place], action: Action) -> None:
        await ensure()
        await letters.record(places, action)

    async def settle(batch: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        found = {outcome.event.identity: outcome for outcome in outcomes}
        ended = sorted(_ended(batch, found))
        for told, group in groupby(ended, key=lambda each: each[0]):
            places = [place for _, place in group]
            action = Action(Deed.REQUEUED, by, datetime.now(UTC), f"{told}: {why}")
            await insist(partial(record, places, action))

    return settle


def _ended(batch: Sequence[Placed], outcomes: dict[EventKey, Outcome]) -> Iterator[tuple[str, Place]]:
    for each in batch:
        event, place = each.event, _letter_of(each)
        if event is None or place is None:
            continue
        if each.fate is Fate.KNOWN:
            yield "the books have its event", place
        elif each.fate is Fate.POST:
            yield _told(outcomes[event.identity]), place


def _told(outcome: Outcome) -> str:
    return f"replayed, {outcome.reason or outcome.kind}"
