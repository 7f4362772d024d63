"""Workers come and go for minutes while records flow: nothing may be lost, whatever Faust drops."""

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, time

from ledger.config import Settings
from loadtests.transport_fleet import Fleet
from loadtests.transport_load import Load, make_scene, settled
from loadtests.transport_truth import Verdict
from streams.embedded.stack import EmbeddedStack

PARTITIONS = 4
WORKERS_MAX = 3
# The session timeout of the fleet is 6 s: a frozen worker is thrown out of the group before it goes on.
FROZEN_S = (7.0, 9.0)
QUIET_S = 120.0
MISSING_SHOWN_MAX = 5


@dataclass(slots=True)
class Outcome:
    """One run: what was done to the workers, how they ended, and what came of the records."""

    table: bool
    published: int
    faults: Counter[str]
    exits: Counter[int]
    verdict: Verdict

    @property
    def sound(self) -> bool:
        """Nothing lost, nothing committed early, and no worker ended in a way that nobody asked for."""
        return self.verdict.sound and not set(self.exits) - {0, -signal.SIGKILL}


@dataclass(slots=True)
class Chaos:
    """Does one random thing to a fleet after another."""

    fleet: Fleet
    random: Random
    say: Callable[[str], None]
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    thawing: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float) -> None:
        """One thing every two to nine seconds."""
        ends = monotonic() + seconds
        self._begin()
        while monotonic() < ends:
            await asyncio.sleep(self.random.uniform(2.0, 9.0))
            self.exits.update(self.fleet.remove_ended().values())
            name, act = self._choose()
            self.faults[name] += 1
            self.say(f"{name}; {len(self.fleet.workers)} workers")
            act()
        await asyncio.gather(*self.thawing)

    def _choose(self) -> tuple[str, Callable[[], None]]:
        running = len(self.fleet.workers)
        if running < 2 or (running < WORKERS_MAX and self.random.random() < 0.4):
            return "start", self._begin
        choices: list[tuple[str, Callable[[], None]]] = [
            ("kill", lambda: self._send(signal.SIGKILL)),
            ("terminate", lambda: self._send(signal.SIGTERM)),
            ("freeze", self._freeze),
        ]
        return self.random.choice(choices)

    def _begin(self) -> None:
        self.fleet.start()

    def _send(self, number: signal.Signals) -> None:
        self.fleet.send(self._any(), number)

    def _freeze(self) -> None:
        name = self._any()
        self.fleet.send(name, signal.SIGSTOP)
        task = asyncio.create_task(self._thaw(name, self.random.uniform(*FROZEN_S)))
        self.thawing.add(task)
        task.add_done_callback(self.thawing.discard)

    async def _thaw(self, name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if name in self.fleet.workers:
            self.fleet.send(name, signal.SIGCONT)

    def _any(self) -> str:
        return self.random.choice(sorted(self.fleet.workers))


async def run_chaos(
    bootstrap: str, directory: Path, *, seconds: float, seed: int, table: bool, rate: int, drop_share: float
) -> Outcome:
    """One run in one kind of app, from the first worker to the verdict."""
    kind = "table" if table else "plain"
    group = f"chaos-{kind}-{seed}-{int(time())}"
    notes = directory / group
    notes.mkdir(parents=True)
    fleet = Fleet(
        notes, bootstrap, group, f"{group}-records", table=table, arguments=[f"--drop-share={drop_share}"]
    )
    begun = monotonic()
    chaos = Chaos(fleet, Random(seed), lambda text: _say(f"{kind} {monotonic() - begun:5.0f} s  {text}"))
    await make_scene(fleet, PARTITIONS)
    try:
        async with Load(bootstrap, fleet.topic, rate).running() as load:
            await chaos.run(seconds)
        verdict = await settled(fleet, PARTITIONS, QUIET_S)
        chaos.exits.update((fleet.remove_ended() | await fleet.stop()).values())
    finally:
        fleet.kill()
    return Outcome(table, load.published, chaos.faults, chaos.exits, verdict)


def summary(outcome: Outcome) -> dict[str, object]:
    """What is printed: of what is missing only the beginning."""
    verdict = asdict(outcome.verdict)
    for name in ("lost", "overcommitted"):
        verdict[name] = {
            partition: {"count": len(offsets), "first": offsets[:MISSING_SHOWN_MAX]}
            for partition, offsets in verdict[name].items()
        }
    return {
        "app": "with a table" if outcome.table else "without tables",
        "sound": outcome.sound,
        "published": outcome.published,
        "duplicates": outcome.verdict.duplicates,
        "faults": dict(outcome.faults),
        "exit_codes": dict(outcome.exits),
        **verdict,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _with_kafka(bootstrap: str | None, work: Callable[[str, Path], Awaitable[int]]) -> int:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        settings = Settings(kafka_bootstrap=bootstrap, postgres_dsn=None)
        async with EmbeddedStack(directory / "stack", settings=settings, postgres=False) as stack:
            return await work(stack.kafka, directory)


async def _main(options: argparse.Namespace) -> int:
    async def work(bootstrap: str, directory: Path) -> int:
        outcomes = []
        for table in options.tables:
            outcome = await run_chaos(
                bootstrap,
                directory,
                seconds=options.minutes * 60 / len(options.tables),
                seed=options.seed,
                table=table,
                rate=options.rate,
                drop_share=options.drop_share,
            )
            outcomes.append(outcome)
            _report(outcome, options.json)
        return 0 if all(outcome.sound for outcome in outcomes) else 1

    return await _with_kafka(options.bootstrap, work)


def _report(outcome: Outcome, as_json: bool) -> None:
    facts = summary(outcome)
    if as_json:
        print(json.dumps(facts), flush=True)
        return
    print("\n".join(f"{name:>14}  {value}" for name, value in facts.items()), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all, shared by the kinds of app")
    parser.add_argument("--seed", type=int, default=int(time()))
    parser.add_argument("--rate", type=int, default=4000, help="records a second")
    parser.add_argument("--drop-share", type=float, default=0.0, help="drop this part of the chunks as well")
    parser.add_argument("--table", dest="tables", action="store_const", const=[True], default=[False, True])
    parser.add_argument("--no-table", dest="tables", action="store_const", const=[False])
    parser.add_argument("--bootstrap", help="a Kafka that runs already")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    # aiokafka logs every retry around a rebalance: the verdict counts, not the noise.
    logging.basicConfig(level=logging.CRITICAL)
    sys.exit(asyncio.run(_main(_arguments())))
