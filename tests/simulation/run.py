"""One run: the plan happens, then all is quiet, then the stream must come to rest, and then the books are checked."""

import asyncio
import gc
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from types import ModuleType
from typing import Any
from unittest import mock

import stamina.instrumentation

from ledger.adapters.memory.payments import MemoryPayments
from ledger.observability import crash
from tests.simulation import checks
from tests.simulation.drawing import TENANTS, draw
from tests.simulation.loop import EndlessError
from tests.simulation.paying import Bank, operate, pay_worker
from tests.simulation.plan import Plan
from tests.simulation.reading import Past, read_process
from tests.simulation.rolling import replace_faust, roll_worker
from tests.simulation.workers import post_worker
from tests.simulation.world import World

MAINS = {"post": post_worker, "windows": roll_worker, "payments": pay_worker, "read": read_process}
REST_S = 90.0
"""Virtual seconds, after the last fault, until which every lag must be gone."""
LOOK_S = 0.5
VIRTUAL = ("streams.", "ledger.application.", "ledger.observability.crash")
"""Modules that read the monotonic clock by themselves."""


@dataclass(frozen=True)
class Verdict:
    """What came of a run: nothing found is good."""

    plan: Plan
    found: tuple[str, ...]
    trace: tuple[str, ...]
    heard: Mapping[str, int] = field(default_factory=dict)
    virtual_s: float = 0.0
    steps: int = 0

    @property
    def digest(self) -> str:
        """Name the trace: the same seed gives the same."""
        return blake2b("\n".join(self.trace).encode(), digest_size=12).hexdigest()


def run_seed(seed: int, bugs: Mapping[str, Any] | None = None) -> Verdict:
    """Run the plan of a seed."""
    return run(draw(seed), bugs)


def run_told_briefly(seed: int) -> Verdict:
    """Run the plan of a seed, and keep its trace only if it fails: what is handed to another process stays small."""
    verdict = run_seed(seed)
    return verdict if verdict.found else Verdict(verdict.plan, (), (), verdict.heard)


def run(plan: Plan, bugs: Mapping[str, Any] | None = None) -> Verdict:
    """Run a plan; `bugs` are substitutes for what tests plant, by the path of what they replace."""
    world = World(plan)
    world.bank, world.past = Bank(world), Past(world)
    with _virtual(world), _planted(bugs or {}):
        found = _live(world)
    return Verdict(plan, tuple(found), tuple(world.trace), world.heard, world.loop.time(), world.loop.steps)


def _live(world: World) -> list[str]:
    try:
        task = world.loop.create_task(_all(world), context=world.network.outside)
        try:
            world.loop.run_until_complete(task)
        except EndlessError as endless:
            return [f"V never ends: {endless}"]
        found = task.result()
        found += [f"V {fault}" for fault in world.loop.faults]
        return found or checks.check(world)
    finally:
        _bury(world)


async def _all(world: World) -> list[str]:
    """Live through the plan; gives what does not come to rest."""
    plan = world.plan
    for kind, count in plan.processes.items():
        for number in range(count):
            world.mains[f"{kind}-{number}"] = MAINS[kind]
            world.start(f"{kind}-{number}")
    for tenant in TENANTS:
        await MemoryPayments(world.server.books).put(tenant, "bank", {})
    janitor = asyncio.create_task(_expire(world))
    world.schedule()
    await asyncio.sleep(plan.ends_at + 0.01)
    world.quiet()
    world.bank.faults.clear()
    operator = asyncio.create_task(operate(world))
    began = world.loop.time()
    restless = ["never looked"]
    while restless and world.loop.time() - began < REST_S:
        await asyncio.sleep(LOOK_S)
        restless = checks.restless(world)
    janitor.cancel()
    operator.cancel()
    world.note("world", f"at rest after {world.loop.time() - began:.1f} s" if not restless else "restless")
    return [f"V not at rest after {REST_S:g} s: {what}" for what in restless]


async def _expire(world: World) -> None:
    while True:
        await asyncio.sleep(0.25)
        world.broker.expire()


def _bury(world: World) -> None:
    """End what is left, after the verdict: nothing of it can reach a server any more."""
    world.network.is_over = True
    for running in world.everybody:
        running.process.is_dead = True
    tasks = asyncio.all_tasks(world.loop)
    for running in world.everybody:
        running.process.is_dead = running.process.is_stopped = False
        if running.process.ready:
            world.loop.continue_process(running.process)
    for _ in range(20):
        for task in tasks:
            task.cancel()
        if not tasks:
            break
        world.loop.run_until_complete(world.loop.create_task(_a_while()))
        tasks = {task for task in asyncio.all_tasks(world.loop) if not task.done()}
    world.loop.bury(tasks)
    world.loop.close()


async def _a_while() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


# What is not given as an argument


@contextmanager
def _virtual(world: World) -> Iterator[None]:
    """Replace clocks, chance and crash points of the code under test by those of the world."""
    hooks = stamina.instrumentation.get_on_retry_hooks()  # the first time, this loads what draws at random
    state, collects = random.getstate(), gc.isenabled()
    random.seed(world.plan.seed)
    gc.disable()
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        with world.stack:
            for module in _modules():
                _replace(world, module)
            replace_faust(world)
            yield
    finally:
        random.setstate(state)
        stamina.instrumentation.set_on_retry_hooks(hooks)
        if collects:
            gc.enable()


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(VIRTUAL) and module is not None
    ]


def _replace(world: World, module: ModuleType) -> None:
    enter = world.stack.enter_context
    if "monotonic" in vars(module):
        enter(mock.patch.object(module, "monotonic", world.loop.time))
    if "crash_point" in vars(module):
        enter(mock.patch.object(module, "crash_point", world.reach))
    if "uuid4" in vars(module):
        enter(mock.patch.object(module, "uuid4", world.fresh_uuid))


@contextmanager
def _planted(bugs: Mapping[str, Any]) -> Iterator[None]:
    with mock.patch.object(crash, "crash_point", crash.crash_point):
        patches = [mock.patch(path, bug) for path, bug in bugs.items()]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in reversed(patches):
                patch.stop()
