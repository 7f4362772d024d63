"""The world of one run: servers, processes and their supervisor, the faults of the plan, and the trace of it all."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition

from ledger.adapters.memory.cache import MemoryCache
from ledger.config import Settings
from ledger.domain.ids import derived_id
from ledger.domain.moments import milliseconds
from ledger.observability.signals import Facts, Signals
from streams.transport.partitioning import Partitioner
from streams.windows.book import WindowBook
from tests.builders import NOW
from tests.simulation.faults import Faults
from tests.simulation.kafka import Broker
from tests.simulation.loop import KilledError, Process, VirtualLoop, current_process
from tests.simulation.network import Network
from tests.simulation.plan import Fault, Plan, Sent, bytes_of
from tests.simulation.postgres import Server

TOLD = (
    "topic",
    "partition",
    "start_offset",
    "end_offset",
    "records",
    "count",
    "generation",
    "begins",
    "fault",
)
"""Facts of signals that go into the trace: none that a wall clock made."""
RESTART_S = 0.3
PAYMENT_RULES = {
    "charge_tries_max": 3,
    "refund_tries_max": 3,
    "publish_tries_max": 4,
    "answer_s": 3.0,
    "outcome_s": 4.0,
    "backoff_s": 0.5,
    "backoff_s_max": 4.0,
    "not_found_grace_s": 8.0,
    "unknown_s_max": 30.0,
    "alert_again_s": 10.0,
    "deadline_s": 30.0,
}

Main = Callable[["Running"], Awaitable[None]]


class Running:
    """One run of a process: what its code needs of the world."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.process = Process(name)
        self.signals = Signals(self._hear)
        self.stop: Callable[[], Awaitable[None]] | None = None
        self.crashed: str | None = None

    def _hear(self, name: str, facts: Facts) -> None:
        told = " ".join(f"{key}={facts[key]}" for key in TOLD if key in facts)
        self.world.note(self.name, f"{name} {told}")
        self.world.heard[name] = self.world.heard.get(name, 0) + 1

    def spawn(self, *work: Any) -> None:
        """Begin tasks of this process; what they raise ends it."""
        for each in work:
            task = asyncio.create_task(each)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.fail(fault)

    def fail(self, fault: BaseException) -> None:
        """As a worker whose app has crashed: it ends soon, and its supervisor starts it again."""
        if isinstance(fault, KilledError) or self.crashed is not None:
            return
        self.crashed = repr(fault)
        self.world.note(self.name, f"crashed: {fault!r}")
        self.world.crashes.append(f"{self.name}: {fault!r}")
        self.world.network.later(0.5, self.world.end, self, RESTART_S)


class Clock:
    """The clock of a process, which can be wrong."""

    def __init__(self, world: "World", process: str = "") -> None:
        self._world = world
        self._process = process

    def now(self) -> datetime:
        seconds = self._world.loop.time() + self._world.clock_faults.get(self._process, 0.0)
        return NOW + timedelta(seconds=seconds)


class World:
    """Everything of a run. Nothing in here looks at a real clock, and all chance comes from the seed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = Random(plan.seed ^ 0x5EED)
        self.loop = VirtualLoop(self.chance)
        self.network = Network(self.loop, self.chance)
        self.faults = Faults(self.chance)
        self.bank: Any = None
        """The provider."""
        self.past: Any = None
        """What was committed when."""
        self.shared_cache = MemoryCache(1000, self.loop.time)
        self.settings = settings_of(plan)
        self.trace: list[str] = []
        self.heard: dict[str, int] = {}
        self.crashes: list[str] = []
        self.found: list[str] = []
        """What readers saw that must not be."""
        self.books_of_windows: dict[str, tuple[Running, WindowBook]] = {}
        self.clock_faults: dict[str, float] = {}
        self.broker = Broker(self.network, topics_of(self.settings))
        self.server = Server(self.network, self.faults, self._committed)
        self.mains: dict[str, Main] = {}
        self.running: dict[str, Running] = {}
        self.everybody: list[Running] = []
        self.points: dict[str, list[tuple[str, int, float]]] = {}
        self.stack = ExitStack()
        self._choose = Partitioner().chooser(self.settings.payments_topic, plan.partitions)
        self._serial = 0

    # Telling

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.loop.time():.6f} {who} {what}".rstrip())

    def _committed(self, text: str) -> None:
        self.note("postgres", text)
        self.past.note()

    # Processes

    def start(self, name: str) -> None:
        """Start a process, unless it runs."""
        if name in self.running:
            return
        running = Running(self, name)
        self.running[name] = running
        self.everybody.append(running)
        self.note(name, "started")
        task = self.loop.begin(running.process, self._run(running))
        task.add_done_callback(lambda _: None)

    async def _run(self, running: Running) -> None:
        try:
            await self.mains[running.name](running)
        except Exception as fault:
            running.fail(fault)

    def end(self, running: Running, restart_s: float) -> None:
        """Kill a run of a process, and start it again a little later."""
        if running.process.is_dead:
            return
        self.note(running.name, "killed")
        self.loop.kill(running.process)
        self.server.client_died(running.process)
        if self.running.get(running.name) is running:
            del self.running[running.name]
        self.network.later(restart_s, self.start, running.name)

    def reach(self, name: str) -> None:
        """A crash point was reached by the process that runs now."""
        process = current_process()
        running = None if process is None else self.running.get(process.name)
        if running is None or running.process is not process:
            return
        waiting = self.points.get(running.name, [])
        for index, (point, left, restart_s) in enumerate(waiting):
            if point == name:
                if left > 1:
                    waiting[index] = (point, left - 1, restart_s)
                    return
                del waiting[index]
                self.note(running.name, f"crash point {name}")
                self.end(running, restart_s)
                raise KilledError

    def fresh_id(self) -> str:
        """Make an id that nobody else has, with the time of now."""
        self._serial += 1
        return derived_id(milliseconds(Clock(self).now()), "fresh", str(self.plan.seed), str(self._serial))

    def fresh_uuid(self) -> UUID:
        """Make an id of chance."""
        return UUID(int=self.chance.getrandbits(128))

    # The plan

    def schedule(self) -> None:
        """Let everything of the plan happen in its time."""
        for sent in self.plan.sent:
            self.network.later(sent.at, self._send, sent)
        for fault in self.plan.faults:
            self.network.later(fault.at, self._strike, fault)

    def _send(self, sent: Sent) -> None:
        topic = self.settings.payments_topic
        key = bytes_of(sent.key)
        partition = self._choose(key) if sent.partition is None else sent.partition
        offset = self.broker.write(TopicPartition(topic, partition), key, bytes_of(sent.value))
        self.note("producer", f"wrote {partition}/{offset}")

    def _strike(self, fault: Fault) -> None:
        self.note("fault", f"{fault.kind} {fault.process} {fault.mode} {fault.s} x{fault.count}")
        strike = getattr(self, f"_{fault.kind.partition(' ')[0]}", None)
        if strike is not None and fault.kind != "postgres restart":
            strike(fault)
        elif fault.kind == "postgres restart":
            self.server.restart()
        else:
            self._plant(fault)

    def _plant(self, fault: Fault) -> None:
        for _ in range(fault.count):
            self.faults.add(fault.process, fault.kind, {"mode": fault.mode, "s": fault.s})

    _postgres = _plant

    def _kill(self, fault: Fault) -> None:
        running = self.running.get(fault.process)
        if running is not None:
            self.end(running, fault.s)

    def _crash(self, fault: Fault) -> None:
        self.points.setdefault(fault.process, []).append((fault.mode, fault.count, fault.s))

    def _terminate(self, fault: Fault) -> None:
        running = self.running.get(fault.process)
        if running is not None and running.stop is not None and running.crashed is None:
            running.crashed = "terminated"
            self.loop.begin(running.process, self._stop(running, fault.s))

    async def _stop(self, running: Running, restart_s: float) -> None:
        if running.stop is not None:
            await running.stop()
        self.note(running.name, "stopped")
        self.network.later(0.0, self.end, running, restart_s)

    def _pause(self, fault: Fault) -> None:
        running = self.running.get(fault.process)
        if running is not None and not running.process.is_stopped:
            self.loop.stop_process(running.process)
            self.network.later(fault.s, self._continue, running)

    def _continue(self, running: Running) -> None:
        self.note(running.name, "continued")
        self.loop.continue_process(running.process)

    def _rebalance(self, fault: Fault) -> None:
        group = self._group_of(fault.process)
        if group in self.broker.groups:
            self.broker.force_rebalance(group)

    def _rewind(self, fault: Fault) -> None:
        """A group's committed offsets are lost: everything comes again."""
        group = self._group_of(fault.process)
        if group in self.broker.groups:
            self.broker.groups[group].committed.clear()
            self.broker.force_rebalance(group)

    def _group_of(self, process: str) -> str:
        groups = {"post": self.settings.posting_group, "windows": self.settings.windows_group}
        return groups.get(process.partition("-")[0], self.settings.payments_group)

    def _away(self, fault: Fault) -> None:
        self.faults.away[fault.process] += 1
        if fault.process == "postgres":
            self.server.restart()
        self.network.later(fault.s, self._back, fault.process)

    def _back(self, server: str) -> None:
        self.faults.away[server] = max(0, self.faults.away[server] - 1)

    def _slow(self, fault: Fault) -> None:
        self.network.slow[fault.process] = 60.0
        self.network.later(fault.s, self.network.slow.pop, fault.process, None)

    def _provider(self, fault: Fault) -> None:
        self.bank.faults.extend([fault.mode] * fault.count)

    def _flush(self, fault: Fault) -> None:
        self.shared_cache._slots.clear()

    def _clock(self, fault: Fault) -> None:
        self.clock_faults[fault.process] = fault.s

    def _hole(self, fault: Fault) -> None:
        for place, log in self.broker.logs.items():
            if place.topic == fault.process:
                log.skip(fault.count)

    def quiet(self) -> None:
        """No more faults: what was planned and not met is taken back."""
        self.faults.clear()
        self.points.clear()
        self.clock_faults.clear()
        self.network.slow.clear()
        self.note("fault", "quiet")


def settings_of(plan: Plan) -> Settings:
    """Give small settings, so that everything happens often."""
    return Settings.model_validate(
        {
            "kafka_bootstrap": "simulated:9092",
            "partitions": plan.partitions,
            "batch_records_max": plan.batch_records,
            "commit_interval_ms": 400,
            "session_timeout_s": 6.0,
            "rebalance_timeout_s": 12.0,
            "hold_sweep_s": 2.0,
            "retry_backoff_max_s": 1.0,
            "windows_checkpoint_ms": 300,
            "payment_lease_s": 5.0,
            "payment_look_ms": 500,
            "payment_rules": PAYMENT_RULES,
        }
    )


def topics_of(settings: Settings) -> dict[str, int]:
    """Name the topics, with their partitions."""
    names = (
        settings.payments_topic,
        settings.outcomes_topic,
        settings.entries_topic,
        settings.dead_letters_topic,
        settings.windows_topic,
        settings.webhooks_topic,
    )
    return dict.fromkeys(names, settings.partitions)
