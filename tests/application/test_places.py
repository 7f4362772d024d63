"""Places are bounded, given in turns, and never lost: one who asks for much waits for itself."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ledger.application.places import Places


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def order_of(places: Places, names: str) -> list[str]:
    """Have each wait in this order, then serve them one by one; gives who was served, `-` for turned away."""
    served: list[str] = []

    async def come(name: str) -> None:
        served.append(name if await places.take(name) else "-")

    comers = []
    for name in names:
        comers.append(asyncio.create_task(come(name)))
        await settle()
    while places.waiting:
        places.give_back()
        await settle()
    await asyncio.gather(*comers)
    return served


async def test_names_take_turns() -> None:
    places = Places(1, 10, wait_s=5.0)
    await places.take("noisy")
    assert await order_of(places, "nnnnnqq") == ["n", "q", "n", "q", "n", "n", "n"]


async def test_a_full_queue_makes_room_for_who_has_little_in_it() -> None:
    places = Places(1, 4, wait_s=5.0)
    await places.take("noisy")
    assert await order_of(places, "nnnnq") == ["-", "n", "q", "n", "n"]


async def test_a_full_queue_is_full_for_who_fills_it() -> None:
    places = Places(1, 2, wait_s=5.0)
    await places.take("noisy")
    assert await order_of(places, "nnn") == ["-", "n", "n"]
    assert (places.is_full("n"), places.is_full("q")) == (False, False)


@given(st.lists(st.sampled_from(["take a", "take b", "take c", "give", "cancel"]), max_size=60))
def test_no_place_is_lost_or_made(script: list[str]) -> None:
    asyncio.run(_play(script))


async def _play(script: list[str]) -> None:
    places, held = Places(2, 3, wait_s=30.0), 0
    waiting: list[asyncio.Task[bool]] = []
    for line in script:
        if line.startswith("take"):
            waiting.append(asyncio.create_task(places.take(line[-1])))
        elif line == "cancel" and waiting:
            waiting.pop().cancel()
        elif line == "give" and held:
            held -= 1
            places.give_back()
        await settle()
        held += sum(task.result() for task in waiting if task.done() and not task.cancelled())
        waiting = [task for task in waiting if not task.done()]
        assert (places.in_flight, places.waiting) == (held, len(waiting))
        assert held <= 2
        assert not waiting or held == 2
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
