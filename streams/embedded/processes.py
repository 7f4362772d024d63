"""Processes of the operating system: starting them for a state directory, knowing them again, ending them."""

import asyncio
import signal
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from os import getpid
from pathlib import Path

import psutil

from streams.embedded.account import Account
from streams.embedded.errors import PartFailedError
from streams.embedded.part import Part
from streams.embedded.state import StateDirectory

MARK = "LEDGER_STACK"
LAUNCHER = Path(__file__).with_name("launch.py")
LOG_BYTES_MAX = 16 * 1024**2
SWEEPS_MAX = 10


async def spawn(state: StateDirectory, part: Part, command: Sequence[str]) -> Process:
    """Start the command of a part in a session of its own; what it prints goes to the log of the part."""
    with rotated(state.log(part.name)).open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *launched(command, part.account, part.stop_signal, part.niceness),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**part.environment, MARK: str(state)},
            cwd=part.directory,
            start_new_session=True,
        )


def launched(
    command: Sequence[str], account: Account | None, death_signal: signal.Signals, niceness: int = 0
) -> list[str]:
    """The command behind the launcher, which becomes it: the process id stays."""
    who = (-1, -1, None) if account is None else (account.uid, account.gid, account.capability)
    uid, gid, capability = who
    numbers = (getpid(), int(death_signal), niceness, uid, gid, -1 if capability is None else capability)
    return [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, numbers), *command]


async def run_tool(
    state: StateDirectory,
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: bytes = b"",
    account: Account | None = None,
) -> None:
    """Run a command to its end; raises PartFailedError with what it printed."""
    process = await asyncio.create_subprocess_exec(
        *launched(command, account, signal.SIGKILL),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, MARK: str(state)},
        cwd="/",
    )
    try:
        printed, _ = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    with rotated(state.log(name)).open("ab") as log:
        log.write(printed)
    if process.returncode != 0:
        raise PartFailedError(
            f"{Path(command[0]).name} failed for {name}: {printed.decode(errors='replace').strip()}",
            f"Its output is kept in {state.log(name)}.",
        )


def rotated(log: Path) -> Path:
    """The same path, after a log that has grown large was put aside as `NAME.log.1`."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_name(f"{log.name}.1"))
    return log


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log; empty when there is none."""
    with suppress(OSError):
        return "\n".join(log.read_bytes()[-8192:].decode(errors="replace").splitlines()[-lines:])
    return ""


def created(pid: int) -> float | None:
    """When the process was made, in seconds since 1970; with the pid it names a process for good."""
    with suppress(psutil.Error):
        return float(psutil.Process(pid).create_time())
    return None


def leftovers(state: StateDirectory) -> list[psutil.Process]:
    """The living processes that any supervisor started for this directory.

    A process is known by what it carries itself, never by a number in a file: a pid may have been given
    to somebody else's process since.
    """
    return [process for process in psutil.process_iter() if _belongs(process, state)]


def backends(state: StateDirectory) -> list[psutil.Process]:
    """PostgreSQL's processes on this directory: they outlive a killed postmaster for a moment."""
    return [process for process in psutil.process_iter() if _is_backend(process, state)]


def _belongs(process: psutil.Process, state: StateDirectory) -> bool:
    if process.pid == getpid():
        return False
    return _is_marked(process, state) or _is_backend(process, state)


def _is_marked(process: psutil.Process, state: StateDirectory) -> bool:
    with suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == str(state) and process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_backend(process: psutil.Process, state: StateDirectory) -> bool:
    # PostgreSQL writes its titles over its environment, so it is known by where it works.
    with suppress(psutil.Error, OSError):
        return process.name() == "postgres" and Path(process.cwd()).is_relative_to(state.postgres.resolve())
    return False


def end(processes: Iterable[psutil.Process], timeout_s: float = 15.0) -> None:
    """Stop each process politely, then by force; returns when none is left."""
    found = list(processes)
    for process in found:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=timeout_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=timeout_s)


def sweep(state: StateDirectory) -> int:
    """End whatever an earlier supervisor left behind; how many there were. Raises PartFailedError."""
    ended = 0
    # A stopping server may still start a helper of its own, so look again until nothing is found.
    for _ in range(SWEEPS_MAX):
        found = leftovers(state)
        if not found:
            return ended
        end(found)
        ended += len(found)
        time.sleep(0.05)
    pids = ", ".join(str(process.pid) for process in leftovers(state))
    raise PartFailedError(
        f"Processes of an earlier stack in {state} do not end: {pids}.", "End them by hand."
    )
