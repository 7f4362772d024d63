"""HTTP: balances read and events taken, at the highest rate and at a set one, alone and beside a running stream."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import time_ns

import msgspec

from loadtests.bench.check import check
from loadtests.bench.flow import Flown, flow
from loadtests.bench.http_client import Answered, Calls, Events, Reads
from loadtests.bench.latencies import decoded
from loadtests.bench.observer import COMMITTED
from loadtests.bench.paced import books, order_of, prepare_books, restarted, until_handled
from loadtests.bench.results import Measured
from loadtests.bench.schedule import Step
from loadtests.bench.stage import Servers, Stage, Wishes, stage, tell
from loadtests.cpu import CpuMeter
from loadtests.workloads import ASSET, named
from streams.development_keys import development_keys

CONSISTENCIES = ("strong", "cached", "eventual")
ACCOUNTS_READ = 500
"""Readers ask for the same accounts again and again, which is what a cache is for."""

WORKLOAD = "uniform"
CONNECTIONS = 16
BATCH = 100
EVENTS_S_MAX = 30_000
"""More events a second than an API takes: so many are made, as they are needed."""

HALF = 0.5
AWAITED_S, WAIT_S = 50.0, 30
"""Requests a second that wait for their outcome, and for how long."""

WARM_UP_S = 2.0
OK, ACCEPTED = 200, 202
DUE, ASKED = "due_to_answered", "asked_to_answered"
"""From when a request was due; or where each is sent when the last was answered, from when it was sent."""

UNLIMITED = {"quota_requests_s": 0.0, "quota_events_s": 0.0}


@dataclass(frozen=True, slots=True)
class Calling:
    """How long each measurement takes, and how many events a second run beside the reads; 0: none."""

    seconds: float = 10.0
    beside: float = 0.0
    seed: int = 1
    connections: int = CONNECTIONS


async def http(servers: Servers, given: Calling) -> list[Measured]:
    """Measure reads of each consistency, and events that are posted one by one and in batches."""
    found = [measured for kind in CONSISTENCIES for measured in await reads(servers, kind, given)]
    single = await events(servers, "http/events", given)
    half = await events(servers, "http/events@paced", given, rate=HALF * single.rate)
    awaited = await events(servers, "http/events@wait", given, rate=AWAITED_S, wait_s=WAIT_S)
    batches = await events(servers, f"http/events@{BATCH}", given, batch=BATCH)
    return [*found, single, half, awaited, batches]


async def reads(servers: Servers, consistency: str, given: Calling) -> list[Measured]:
    """Read balances: the highest rate, then half of it, then the highest beside a stream if one is wished for."""
    async with _served(servers, windows=1) as own:
        await prepare_books(own, named(WORKLOAD), given.seed)
        what, case = Reads(consistency, ACCOUNTS_READ, ASSET), f"http/{consistency}"
        await _call(_calls(own, what, given, WARM_UP_S))
        peak = await _read(own, case, _calls(own, what, given, given.seconds))
        half = _calls(own, what, given, given.seconds, HALF * peak.rate)
        found = [peak, await _read(own, f"{case}@paced", half)]
        if given.beside:
            highest = _calls(own, what, given, given.seconds)
            found.append(await _beside(own, f"{case}@beside", highest, given))
        return found


async def events(
    servers: Servers, case: str, given: Calling, *, batch: int = 1, rate: float = 0.0, wait_s: int = 0
) -> Measured:
    """Post events, see them all handled, and check the books; the rate is of events, not of requests."""
    async with _served(servers) as own:
        await prepare_books(own, named(WORKLOAD), given.seed)
        count = round(EVENTS_S_MAX * given.seconds)
        what = Events(WORKLOAD, count, given.seed, time_ns() // 1_000_000, batch, wait_s)
        calls = _calls(own, what, given, given.seconds, rate / batch)
        meter = CpuMeter(own)
        async with meter.running():
            found = await _call(calls)
        sent = min(count, found.sent * batch)
        await until_handled(own, await own.written(own.settings.payments_topic))
        faults = [
            *_faults(found, OK if wait_s else ACCEPTED),
            *await check(own, named(WORKLOAD).expected(sent, given.seed)),
        ]
        return _measured(case, calls, found, meter, [*faults, *restarted(own)], of=batch)


async def _read(own: Stage, case: str, calls: Calls) -> Measured:
    meter = CpuMeter(own)
    async with meter.running():
        found = await _call(calls)
    return _measured(case, calls, found, meter, [*_faults(found, OK), *restarted(own)])


async def _beside(own: Stage, case: str, calls: Calls, given: Calling) -> Measured:
    """Read beside a stream that begins before, and ends after."""
    order = order_of(own, WORKLOAD, [Step(given.beside, calls.seconds + 2 * WARM_UP_S)], given.seed)
    begun, meter = asyncio.Event(), CpuMeter(own)
    async with meter.running():
        flowing = asyncio.create_task(flow(order, at_start=begun.set))
        try:
            await _either(begun, flowing)
            await asyncio.sleep(WARM_UP_S)
            found = await _call(calls)
            flown: Flown = await flowing
        finally:
            flowing.cancel()
            await asyncio.gather(flowing, return_exceptions=True)
    faults = [*_faults(found, OK), *flown.faults(), *await books(own, flown), *restarted(own)]
    measured = _measured(case, calls, found, meter, faults)
    measured.latencies[COMMITTED] = decoded(flown.observed.latencies[COMMITTED]).percentiles()
    measured.settings["beside_events_s"] = given.beside
    return measured


async def _either(begun: asyncio.Event, flowing: "asyncio.Task[Flown]") -> None:
    """Wait for the beginning, or raise what came instead."""
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait({waiting, flowing}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not begun.is_set():
        await flowing


@asynccontextmanager
async def _served(servers: Servers, windows: int = 0) -> AsyncIterator[Stage]:
    wishes = Wishes(windows=windows, api=True, settings=UNLIMITED)
    async with stage(servers, wishes) as own, own.running():
        yield own


def _calls(own: Stage, what: Reads | Events, given: Calling, seconds: float, rate: float = 0.0) -> Calls:
    key = development_keys(own.state).api_key
    return Calls(own.url("api"), key, what, seconds, given.connections, rate)


async def _call(calls: Calls) -> Answered:
    """Have a process make the calls; it is gone afterwards."""
    command = (sys.executable, "-m", "loadtests.bench.http_client")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        said, _ = await process.communicate(msgspec.json.encode(calls))
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the client ended with {process.returncode}")
    return msgspec.json.decode(said, type=Answered)


def _faults(found: Answered, right: int) -> list[str]:
    wrong = {f"answers {status}": times for status, times in found.statuses.items() if status != right}
    wrong |= {"requests without an answer": found.unanswered} if found.unanswered else {}
    return [f"{times:,} {what}" for what, times in wrong.items()]


def _measured(
    case: str, calls: Calls, found: Answered, meter: CpuMeter, faults: list[str], of: int = 1
) -> Measured:
    answers = sum(found.statuses.values()) * of
    measured = Measured(
        case=case,
        rate=round(answers / found.seconds, 1),
        seconds=round(found.seconds, 2),
        events=answers,
        latencies={DUE if calls.rate else ASKED: decoded(found.latencies).percentiles()},
        cpu_s=meter.told() | {"client": round(found.cpu_s, 1)},
        checked=faults,
        settings={
            "connections": calls.connections,
            "requests_s_set": round(calls.rate, 1),
            "events_in_a_request": of,
            "turned_away": {str(status): times for status, times in found.again.items()},
            "example_of_an_error": found.example,
        },
    )
    (p99,) = (each.p99_ms for each in measured.latencies.values())
    tell(f"  {case}: {measured.rate:,.0f}/s, p99 {p99:.1f} ms; {'; '.join(faults) or 'as expected'}")
    return measured
