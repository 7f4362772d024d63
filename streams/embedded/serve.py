"""Runs a stack in the foreground or as a daemon, and stops one from another process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import IO

import psutil

from streams.embedded.errors import EmbeddedError, PartFailedError
from streams.embedded.processes import rotated, sweep
from streams.embedded.stack import EmbeddedStack
from streams.embedded.state import StackRecord, StateDirectory

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_TIMEOUT_S = 90.0
POLL_S = 0.1
PROGRAM = "streams.cli"


async def serve(stack: EmbeddedStack, announce: Callable[[StackRecord], None]) -> None:
    """Start the stack, announce it, and keep it until a signal asks for its end; raises EmbeddedError."""
    asked = asyncio.Event()
    for number in STOPPING_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    start = asyncio.create_task(stack.start())
    end = asyncio.create_task(asked.wait())
    await asyncio.wait((start, end), return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        await _give_up(start)
        return
    await _keep(start, end, stack, announce)


async def _keep(
    start: asyncio.Task[None],
    end: asyncio.Task[bool],
    stack: EmbeddedStack,
    announce: Callable[[StackRecord], None],
) -> None:
    try:
        await start
    except BaseException:
        end.cancel()
        raise
    try:
        announce(stack.state.read())
        await end
    finally:
        await stack.stop()


async def _give_up(start: asyncio.Task[None]) -> None:
    start.cancel()
    with suppress(asyncio.CancelledError, EmbeddedError):
        await start


def running(state: StateDirectory) -> StackRecord | None:
    """The record of the stack that runs here, once all of it is ready; none when none runs."""
    while state.supervisor() is not None:
        record = state.read()
        if record.phase == "ready" and all(process.ready for process in record.processes):
            return record
        time.sleep(POLL_S)
    return None


def detach(state: StateDirectory, arguments: Sequence[str], report: Callable[[str], None]) -> StackRecord:
    """Start our command line with `arguments` as a daemon and wait until its stack is ready.

    `report` gets each line that the daemon says meanwhile. Raises PartFailedError when it ends instead.
    """
    log = rotated(state.log("supervisor"))
    with log.open("ab") as output, log.open() as said:
        said.seek(0, os.SEEK_END)
        daemon = _start_daemon(arguments, output)
        for record in _outlook(daemon, state):
            for line in said.read().splitlines():
                report(line)
            if record is not None:
                daemon.returncode = 0  # It is to outlive us, which Popen would warn of.
                return record
    raise PartFailedError(f"The stack did not start (exit code {daemon.returncode}).", f"See {log}.")


def _start_daemon(arguments: Sequence[str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )


def _outlook(daemon: "subprocess.Popen[bytes]", state: StateDirectory) -> Iterator[StackRecord | None]:
    """The daemon's record once it is ready, until then none, again and again; ends when the daemon does."""
    while daemon.poll() is None:
        record = state.read()
        yield record if record.phase == "ready" and state.supervisor() == daemon.pid else None
        time.sleep(POLL_S)
    yield None


def shut_down(state: StateDirectory) -> bool:
    """Stop the stack of this directory, its supervisor dead or alive; whether there was anything to stop."""
    if not state.path.exists():
        return False
    supervised = _stop_supervisor(state)
    with state.lock():
        left = sweep(state)
        state.write(StackRecord(phase="stopped"))
    return supervised or left > 0


def _stop_supervisor(state: StateDirectory) -> bool:
    pid = state.supervisor()
    if pid is None:
        return False
    with suppress(psutil.NoSuchProcess):
        # The lock is let go of before the process has ended, and who waits for `down` waits for both.
        process = psutil.Process(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            process.send_signal(number)
            if _ended(process):
                break
    return True


def _ended(process: psutil.Process) -> bool:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
