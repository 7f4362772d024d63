"""Something else to do while an answer is on its way."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Answer = TypeVar("Answer")


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, Answer]) -> AsyncIterator["asyncio.Task[Answer]"]:
    """Have `work` begun before the block runs, and done when it has run; its error is that of the whole.

    Where the block raises, the work is given up first.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(0)
        yield task
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    await task
