"""Runs a chunked app in this process until a signal or a fault ends it."""

import asyncio
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable

from streams.transport.app import ChunkedApp
from streams.transport.exits import Exit
from streams.transport.watchdog import Watchdog

LOOK_S = 0.05
# A clean stop waits for the running chunks, at most until they are given up, and then still has to commit.
STOPPING_MARGIN_S = 10.0
# After a crash only the leaving of the group is worth a wait.
CRASHED_STOPPING_S = 3.0

_log = logging.getLogger(__name__)


def run(make: Callable[[], ChunkedApp]) -> int:
    """Make an app and run it; gives the process's exit code."""
    return asyncio.run(_run(make))


async def _run(make: Callable[[], ChunkedApp]) -> int:
    return await run_worker(make())


async def run_worker(app: ChunkedApp) -> Exit:
    """Run until SIGTERM or SIGINT, which finish the running chunks and commit, or until the app crashes."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    watchdog = Watchdog(app, app.flow.settings.watchdog_s)
    directory = app.conf.datadir
    directory.mkdir(parents=True, exist_ok=True)
    crashed = False
    try:
        await _live(app, ended, watchdog)
    except Exception:
        _log.exception("the worker could not run")
        crashed = True
    finally:
        watchdog.stop()
    exit_code = await _stop(app, crashed or bool(app.crashed))
    if app.conf.store.scheme == "memory":
        shutil.rmtree(directory, ignore_errors=True)
    return exit_code


async def _live(app: ChunkedApp, ended: asyncio.Event, watchdog: Watchdog) -> None:
    # Starting is no reason to be deaf: it can take as long as Kafka is away, and after a crash for ever.
    starting = asyncio.create_task(app.start())
    try:
        await _until(lambda: ended.is_set() or app.should_stop or starting.done())
        if starting.done():
            await starting
            watchdog.start()
            await _until(lambda: ended.is_set() or app.should_stop)
    finally:
        starting.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    # A fault in Faust's consumer thread sets the app's flag from there, which wakes nobody here: so look.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


async def _stop(app: ChunkedApp, crashed: bool) -> Exit:
    # A timer, because what Faust leaves behind can keep the event loop, or the interpreter, from ending.
    limit_s = CRASHED_STOPPING_S if crashed else app.flow.settings.rebalance_timeout_s + STOPPING_MARGIN_S
    last_resort = threading.Timer(limit_s, os._exit, (Exit.CRASHED if crashed else Exit.HUNG,))
    last_resort.daemon = True
    last_resort.start()
    try:
        await app.stop()
    except Exception:
        _log.exception("stopping failed")
        crashed = True
    return Exit.CRASHED if crashed or app.crashed else Exit.CLEAN
