"""Asks the checker, which knows nothing of the stage but addresses, and shares no code with what it checks."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loadtests.chaos.checker.options import API_KEYS
from loadtests.chaos.load import truth_in
from loadtests.chaos.reads import reads_in
from loadtests.chaos.results import Checked
from loadtests.chaos.stage import Stage

CHECKER = "loadtests.chaos.checker"
CHECK_S = 600.0
CHECKED_RECORDS_S = 800.0
"""As many records more are checked in a second, at least."""

REBUILT_RECORDS_MAX = 2_000_000
"""Books of more are not made anew: the report says that P was not looked for."""

LAG_S = 20.0
SAMPLE = 100
"""So many accounts, and other things, are read through the API."""

SAID_MAX = 2000


class Said(msgspec.Struct, frozen=True):
    """What the checker says."""

    ok: bool
    invariants: dict[str, Checked]


async def judge(
    stage: Stage, tell: Callable[[str], None], *, after_loss: bool = False
) -> tuple[dict[str, Checked], list[str]]:
    """Have the checker look at the stage, which must be quiet; gives its verdicts, and what went wrong with it."""
    # What was read of commits that were lost is of what the books never were.
    kept = ["--after-loss"] if after_loss else ["--chained", "--reads", str(reads_in(stage.state.path))]
    command = [*_command(stage), *kept]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=_secrets(stage))
    allowed_s = CHECK_S + stage.watch.sent / CHECKED_RECORDS_S
    try:
        async with asyncio.timeout(allowed_s):
            printed, said = await asyncio.gather(_whole(process.stdout), _passed_on(process.stderr, tell))
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return {}, [f"the checker did not end within {allowed_s:,.0f} s"]
    try:
        found = msgspec.json.decode(printed, type=Said)
    except msgspec.DecodeError:
        return {}, [f"the checker failed with exit code {process.returncode}: {said[-SAID_MAX:]}"]
    return found.invariants, [] if found.ok == _all_ok(found.invariants) else [
        "the checker contradicts itself"
    ]


async def _whole(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


async def _passed_on(stream: asyncio.StreamReader | None, tell: Callable[[str], None]) -> str:
    """Tell each line as it comes; gives all of them."""
    lines: list[str] = []
    while stream is not None and (line := await stream.readline()):
        lines.append(line.decode(errors="replace").rstrip())
        tell(f"  {lines[-1]}")
    return "\n".join(lines)


def _all_ok(invariants: dict[str, Any]) -> bool:
    return all(each.ok for each in invariants.values())


def _command(stage: Stage) -> list[str]:
    told = {
        "kafka": stage.kafka,
        "postgres": _without_password(stage.dsn),
        "schema": stage.settings.postgres_schema,
        "api": stage.url("api"),
        "provider": stage.url("provider"),
        "sent": str(truth_in(stage.state.path)),
        "wait": str(LAG_S),
        "sample": str(stage.some(SAMPLE)),
    }
    options = [word for name, value in told.items() for word in (f"--{name}", value)]
    groups = [word for group, topic in stage.groups.items() for word in ("--group", f"{group}={topic}")]
    rebuild = ["--rebuild"] if stage.watch.sent <= REBUILT_RECORDS_MAX else []
    return [sys.executable, "-m", CHECKER, *options, *groups, *rebuild, "--json"]


def _secrets(stage: Stage) -> dict[str, str]:
    """Give the environment of the checker: anyone on the machine can read the arguments of a process."""
    password = urlsplit(stage.dsn).password or ""
    return {**os.environ, "PGPASSWORD": password, API_KEYS: ",".join(stage.keys.values())}


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    return dsn.replace(f":{parts.password}@", "@", 1) if parts.password else dsn
