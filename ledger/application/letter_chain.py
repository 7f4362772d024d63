"""Dead letters that came back: which letter each was before, which it became, and how often it was tried."""

from collections.abc import Mapping, Sequence

from ledger.application.dead_letters import DeadLetters, LetterSummary, Place

CHAIN_MAX = 100
"""No chain is followed further: any producer can write the header that links letters."""


async def chain_to(letters: DeadLetters, newest: LetterSummary) -> list[LetterSummary]:
    """Give the letters that `newest` was before, the first of them first, and itself."""
    [chain] = await chains_to(letters, [newest])
    return chain


async def tries_of(letters: DeadLetters, summaries: Sequence[LetterSummary]) -> dict[Place, int]:
    """Count how often each was tried: once, and once more for every letter that it was before."""
    return {chain[-1].place: len(chain) for chain in await chains_to(letters, summaries)}


async def chains_to(letters: DeadLetters, summaries: Sequence[LetterSummary]) -> list[list[LetterSummary]]:
    """Give the chains that end with `summaries`; all are followed at once, a step at a time."""
    known = {each.place: each for each in summaries}
    newest: Sequence[LetterSummary] = summaries
    for _ in range(CHAIN_MAX):
        missing = {each.origin for each in newest if each.origin is not None} - known.keys()
        if not missing:
            break
        newest = await letters.summaries(sorted(missing))
        known |= {each.place: each for each in newest}
    return [_chain(known, each) for each in summaries]


def _chain(known: Mapping[Place, LetterSummary], newest: LetterSummary) -> list[LetterSummary]:
    chain = [newest]
    while (origin := chain[-1].origin) is not None and len(chain) < CHAIN_MAX:
        before = known.get(origin)
        # What is not there, or came later, cannot be what it was.
        if before is None or before in chain or before.at > chain[-1].at:
            break
        chain.append(before)
    return chain[::-1]


async def came_of(letters: DeadLetters, first: LetterSummary) -> list[LetterSummary]:
    """Give the letters that `first` came back as, and those that they came back as."""
    found: dict[Place, LetterSummary] = {}
    open_ends = [first]
    while open_ends and len(found) < CHAIN_MAX:
        each = open_ends.pop(0)
        if each.action is None:
            continue
        back = await letters.came_back_of(each.place, CHAIN_MAX - len(found))
        fresh = [one for one in back if one.place not in found and one.place != first.place]
        found |= {one.place: one for one in fresh}
        open_ends += fresh
    return list(found.values())
