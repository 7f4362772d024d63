"""A run: each scene's faults one after another under load, then quiet, then the checker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from loadtests.chaos import fault
from loadtests.chaos.disks import small
from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.judge import judge
from loadtests.chaos.memory import memory_verdict
from loadtests.chaos.peak import set_half_of_peak
from loadtests.chaos.results import Injected, Report, Scene, Verdict, together
from loadtests.chaos.schedule import Act, Plan
from loadtests.chaos.stage import Stage, StageError, Wishes
from loadtests.chaos.staging import staged
from loadtests.cpu import CpuMeter

RECOVERY_S_MAX = 60.0
INJECTION_S_MAX = 240.0
GAVE_UP_S = 120.0
"""Recovery is waited for so long, to say how long it takes; more than RECOVERY_S_MAX is a violation."""

TOLD_S = 5.0
STEADY_S = 3.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a run shall be."""

    seed: int
    directory: Path
    wishes: Wishes
    tell: Tell
    seconds: float | None = None
    """So long faults are injected, at random once each of them was; none: each once."""
    rate: float | None = None
    """Records sent a second; none: half of what the ledger can post here."""
    notes: Sequence[str] = ()
    """What the report says of itself: which code was run, and where."""
    so_far: Callable[[Report], None] = lambda report: None
    """Hears, after each scene, what has been found so far: a run takes long."""


@dataclass(slots=True)
class _Told:
    """What a scene has come to."""

    faults: list[Injected] = field(default_factory=list)
    why: list[str] = field(default_factory=list)


async def run(
    plans: Iterable[Plan],
    missing: Sequence[Injected],
    wanted: Wanted,
    play: Callable[[Plan, Wanted], Awaitable[Scene]] | None = None,
) -> Report:
    """Play every scene; `missing` are the faults that cannot be injected here."""
    started_at, begun = datetime.now(UTC).isoformat(timespec="seconds"), monotonic()
    left_out = [Scene("not run", 0.0, 0, list(missing), {})] if missing else []
    scenes: list[Scene] = []

    def told() -> Report:
        rate = wanted.rate or max((scene.rate for scene in scenes), default=0.0)
        seconds = round(monotonic() - begun, 1)
        return Report(wanted.seed, rate, started_at, seconds, [*scenes, *left_out], list(wanted.notes))

    for plan in plans:
        scenes.append(await _played(plan, wanted, play or _play))
        wanted.so_far(told())
    return told()


async def _played(plan: Plan, wanted: Wanted, play: Callable[[Plan, Wanted], Awaitable[Scene]]) -> Scene:
    """Play a scene; one that cannot be played is a finding of the run, and not its end."""
    begun = monotonic()
    try:
        return await play(plan, wanted)
    except Exception as error:
        why = f"could not be played: {type(error).__name__}: {error}"
        wanted.tell(f"scene {plan.scene} {why}")
        faults = [
            Injected(act.fault.name, act.fault.title, plan.scene, "did not happen", why) for act in plan.acts
        ]
        return Scene(plan.scene, round(monotonic() - begun, 1), 0, faults, {}, why=[why])


def cannot(missed: Fault, why: str) -> Injected:
    """Say that a fault was not injected: it never counts as passed."""
    return Injected(missed.name, missed.title, missed.scene, "not run", f"needs {why}")


def wishes_of(scene: str, wishes: Wishes) -> Wishes:
    """Give what a scene needs beside what all need."""
    match scene:
        case fault.CLUSTER:
            return replace(wishes, brokers=3)
        case fault.SMALL:
            return replace(wishes, postgres={"max_wal_size": "256MB", "min_wal_size": "64MB"})
        case _:
            return wishes


def disks_of(scene: str, directory: Path) -> dict[Path, int]:
    """Give the disks that a scene needs, in MiB, where servers and workers keep what they keep."""
    if scene != fault.SMALL:
        return {}
    return {directory / "postgres": 900, directory / "kafka": 600, directory / "workers": 64}


async def _play(plan: Plan, wanted: Wanted) -> Scene:
    directory = wanted.directory / plan.scene.replace(" ", "-")
    begun = monotonic()
    wanted.tell(f"scene {plan.scene}: {', '.join(act.fault.name for act in plan.acts)}")
    async with (
        small(disks_of(plan.scene, directory)),
        staged(directory, wishes_of(plan.scene, wanted.wishes)) as stage,
        CpuMeter(stage).running() as meter,
    ):
        async with _telling(stage, wanted.tell):
            if wanted.rate is None:
                await set_half_of_peak(stage, wanted.tell)
            told = await _inject_all(stage, _acts(plan, wanted.seconds), wanted.tell)
            quiet_in_s = await _quiet(stage, told)
        # Until here: the ledger rests while the checker reads, which would count as memory that stays as it is.
        memory_mib = {name: list(points) for name, points in meter.memory_mib.items()}
        memory = memory_verdict(memory_mib, births_s := meter.births_s())
        wanted.tell("checking")
        reads = await stage.reading.stop()
        losing = any(act.fault.loses_commits for act in plan.acts)
        invariants, faults = await judge(stage, wanted.tell, after_loss=losing)
        sent = (await stage.load.end()).sent
        return Scene(
            name=plan.scene,
            seconds=round(monotonic() - begun, 1),
            sent=sent,
            rate=stage.load.usual,
            faults=told.faults,
            invariants=together(invariants, {"R": reads}, memory),
            samples=stage.watch.samples,
            memory_mib=memory_mib,
            births_s=births_s,
            quiet_in_s=quiet_in_s,
            why=[*told.why, *faults],
        )


def _acts(plan: Plan, seconds: float | None) -> Iterable[Act]:
    if seconds is None:
        return plan.acts
    ends = monotonic() + seconds
    return plan.until(lambda: monotonic() > ends)


async def _inject_all(stage: Stage, acts: Iterable[Act], tell: Tell) -> _Told:
    told = _Told()
    stage.load.begin()
    for act in acts:
        await asyncio.sleep(STEADY_S)
        told.faults.append(await inject(stage, act, tell))
    return told


async def inject(stage: Stage, act: Act, tell: Tell) -> Injected:
    """Inject a fault, and see how long the ledger takes to recover."""
    name, began_s, before = act.fault.name, stage.watch.now_s, stage.restarts()
    tell(f"inject {name}: {act.fault.title}")
    did, verdict, broke = await attempted(stage, act)
    healed_s = stage.watch.now_s
    recovered_in_s, why = await _recovered(stage)
    verdict = "violated" if why else verdict
    why = "; ".join(each for each in (broke, why) if each)
    tell(f"  {name}: {why or f'recovered in {recovered_in_s} s'}; {did}")
    return Injected(
        name=name,
        title=act.fault.title,
        scene=act.fault.scene,
        verdict=verdict,
        why=why,
        began_s=round(began_s, 1),
        healed_s=round(healed_s, 1),
        recovered_in_s=recovered_in_s,
        did=did,
        restarts=_more(before, stage.restarts()),
    )


def _more(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: more for name, count in after.items() if (more := count - before.get(name, 0)) > 0}


async def attempted(stage: Stage, act: Act) -> tuple[dict[str, Any], Verdict, str]:
    """Give what was done, and what went wrong with doing it."""
    try:
        async with asyncio.timeout(INJECTION_S_MAX):
            return await act.fault.inject(stage, Random(act.seed)), "ok", ""
    except DidNotHappenError as error:
        return error.did, "did not happen", str(error)
    except Exception as error:  # a fault that cannot be injected is a finding of the run, and not its end
        return {}, "violated", f"could not be injected: {type(error).__name__}: {error}"


async def _recovered(stage: Stage) -> tuple[float | None, str]:
    try:
        seconds = round(await stage.until_recovered(GAVE_UP_S), 1)
    except StageError as error:
        return None, str(error)
    late = seconds > RECOVERY_S_MAX
    return seconds, f"took {seconds} s to recover, more than {RECOVERY_S_MAX:g} s" if late else ""


async def _quiet(stage: Stage, told: _Told) -> float | None:
    try:
        return round(await stage.until_quiet(), 1)
    except Exception as error:  # what is left is for the checker to judge; the run says why it was not quiet
        told.why.append(f"{type(error).__name__}: {error}")
        return None


@asynccontextmanager
async def _telling(stage: Stage, tell: Tell) -> AsyncIterator[None]:
    """Say every few seconds how much is sent and how far the ledger is behind."""
    task = asyncio.create_task(_tell_on(stage, tell))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tell_on(stage: Stage, tell: Tell) -> None:
    told = monotonic()
    while True:
        await asyncio.sleep(0.5)
        stage.watch.sent, stage.watch.rate = stage.load.told.sent, stage.load.rate
        if monotonic() - told > TOLD_S:
            told = monotonic()
            sent = stage.load.told
            tell(
                f"  {sent.sent:,} sent, {sent.failed:,} failed, {stage.load.rate:g}/s; lag {stage.watch.said}"
            )
