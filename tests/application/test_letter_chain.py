"""Chains of dead letters that were sent again and came back."""

from datetime import timedelta

import pytest

from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.application.dead_letters import Action, Deed, LetterQuery, Place, origin_of
from ledger.application.letter_chain import CHAIN_MAX, came_of, chain_to, tries_of
from ledger.contract.dead_letter import ORIGIN, DeadLetter, DeadLetterReason, Record
from tests.builders import NOW


def place(offset: int) -> Place:
    return Place("payments", 0, offset)


class Kept:
    """Letters by offset, each with the offset of the letter that it says it was; all but the newest requeued."""

    def __init__(self, *links: tuple[int, int | None], handled: bool = True) -> None:
        self.letters = MemoryDeadLetters(self._letter(*link) for link in links)
        if handled:
            action = Action(Deed.REQUEUED, "ann", NOW)
            self.letters.actions += [(place(offset), action) for offset, _ in links]

    @staticmethod
    def _letter(offset: int, was: int | None) -> DeadLetter:
        headers = () if was is None else ((ORIGIN, str(place(was)).encode()),)
        record = Record("payments", 0, offset, None, b"x", headers)
        return DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "why", NOW + timedelta(seconds=offset))

    async def tries(self) -> dict[int, int]:
        found = await self.letters.find(LetterQuery(handled_too=True), 1000)
        return {each.offset: count for each, count in (await tries_of(self.letters, found)).items()}

    async def chain(self, offset: int) -> list[int]:
        [newest] = await self.letters.summaries([place(offset)])
        return [each.place.offset for each in await chain_to(self.letters, newest)]

    async def came_of(self, offset: int) -> list[int]:
        [first] = await self.letters.summaries([place(offset)])
        return [each.place.offset for each in await came_of(self.letters, first)]


async def test_each_try_counts() -> None:
    kept = Kept((1, None), (2, None), (3, 1), (5, 3), (6, 2))
    assert await kept.tries() == {1: 1, 2: 1, 3: 2, 5: 3, 6: 2}
    assert await kept.chain(5) == [1, 3, 5]


async def test_what_came_of_a_letter_is_followed_to_its_end() -> None:
    kept = Kept((1, None), (2, None), (3, 1), (4, 1), (5, 3))
    assert await kept.came_of(1) == [3, 4, 5]
    assert await kept.came_of(2) == []


async def test_nothing_came_of_a_letter_that_nobody_sent_again() -> None:
    assert await Kept((1, None), (3, 1), handled=False).came_of(1) == []


@pytest.mark.parametrize("was", [3, 4, 9])
async def test_a_letter_was_none_that_is_not_there_or_came_later(was: int) -> None:
    kept = Kept((3, was), (4, None))
    assert await kept.chain(3) == [3]


async def test_no_chain_is_followed_for_ever() -> None:
    kept = Kept((0, None), *((offset, offset - 1) for offset in range(1, CHAIN_MAX + 20)))
    assert len(await kept.chain(CHAIN_MAX + 19)) == CHAIN_MAX
    assert len(await kept.came_of(0)) == CHAIN_MAX


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"payments/0", b"payments/0/x"])
def test_header_that_names_no_letter_is_no_link(value: bytes | None) -> None:
    assert origin_of([(ORIGIN, value)]) is None


def test_last_link_counts() -> None:
    assert origin_of([(ORIGIN, b"a/0/1"), ("x", b"y"), (ORIGIN, b"a/b/0/2")]) == Place("a/b", 0, 2)
