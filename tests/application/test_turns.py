"""Long work lets others run."""

import asyncio

from ledger.application.turns import in_turns


async def test_everything_comes_in_order() -> None:
    assert [list(some) async for some in in_turns(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(some) async for some in in_turns("")] == []


async def test_others_run_between() -> None:
    seen: list[str] = []

    async def other() -> None:
        for _ in range(3):
            seen.append("other")
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    seen.extend([str(some) async for some in in_turns("abc", 1)])
    await beside
    assert seen == ["other", "other", "a", "b", "c", "other"]
