"""Work beside a Faust app, such as a timer: it ends with the app, and the app with it."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from streams.transport.app import ChunkedApp


def run_beside(app: ChunkedApp, stack: AsyncExitStack, *works: Coroutine[Any, Any, None]) -> None:
    """Run until the stack ends. A fault crashes the app: without its timer a worker would only seem well."""
    for work in works:
        task = asyncio.create_task(work)
        task.add_done_callback(partial(_crash_with, app))
        stack.callback(task.cancel)


def _crash_with(app: ChunkedApp, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (fault := task.exception()) is not None:
        app.flow.signals.emit("task.failed", error=repr(fault))
        app.crashing = asyncio.ensure_future(app.crash(fault))
