"""Work that is sent off, and other work that is done while the answer is on its way."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Answer = TypeVar("Answer")


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, Answer]) -> AsyncIterator["asyncio.Task[Answer]"]:
    """Have `work` under way inside, and done at the end; it is dropped where something inside fails."""
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(0)
        yield task
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    await task
