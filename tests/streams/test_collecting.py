"""What only the cycle collector frees is freed while a worker runs, however little it is."""

import asyncio
import gc
import weakref

from streams.collecting import collecting


class Cycle:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.own = self


async def gone(cycle: "weakref.ref[Cycle]", within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            while cycle() is not None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.005)
    except TimeoutError:
        return False
    return True


async def test_cycles_are_freed_now_and_then() -> None:
    gc.disable()
    try:
        assert not await gone(weakref.ref(Cycle()), 0.05)
        with collecting(every_s=0.01):
            assert await gone(weakref.ref(Cycle()), 10)
        assert not await gone(weakref.ref(Cycle()), 0.05)
    finally:
        gc.enable()
