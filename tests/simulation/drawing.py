"""Draws the plan of a seed: how many workers, which events in which order, and what goes wrong when."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.builders import encoded, event_id
from tests.random_events import random_command
from tests.simulation.plan import Fault, Plan, Sent, text_of

TENANTS = ("acme", "globex", "initech")
CRASH_POINTS = {
    "post": ("claimed", "before_commit", "committed", "before_publish", "published"),
    "windows": ("before_checkpoint", "checkpoint_written"),
    "payments": ("saga_stored", "attempt_begun", "provider_answered", "step_published"),
}
STEPS = ("begin", "lock", "claim", "recall", "write", "advance")
POISON = (
    None,
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"[1]",
    b'{"id": NaN}',
    b"[" * 200,
    b'{"specversion":"1.0","id":"x","type":"transfer.post.v9","tenant":"acme","data":{}}',
)
PROVIDER = ("hang", "busy", "lost", "late", "unanswered", "twice")
LASTS_S = 20.0


def draw(seed: int) -> Plan:
    """Draw the plan of a seed; the same seed gives the same plan."""
    chance = Random(seed)
    posting = chance.randint(1, 3)
    windows, payments = chance.choice(((0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 1)))
    readers = chance.choice((0, 1, 2))
    partitions = chance.randint(1, 4)
    tenants = TENANTS[: chance.randint(1, 3)]
    return Plan(
        seed=seed,
        partitions=partitions,
        posting=posting,
        windows=windows,
        payments=payments,
        readers=readers,
        batch_records=chance.choice((1, 3, 8, 25)),
        sent=tuple(_events(chance, tenants, chance.choice((15, 40, 100)), payments > 0)),
        faults=tuple(_faults(chance, {"post": posting, "windows": windows, "payments": payments})),
    )


def _events(chance: Random, tenants: tuple[str, ...], count: int, pays: bool) -> list[Sent]:
    made: dict[str, list[tuple[str, Any]]] = {tenant: [] for tenant in tenants}
    sent: list[Sent] = []
    for number in range(count):
        at = round(chance.uniform(0.0, LASTS_S), 4)
        tenant = chance.choice(tenants)
        luck = chance.random()
        if sent and luck < 0.08:
            # The same bytes again, at some other time.
            again = chance.choice(sent)
            sent.append(Sent(at, again.key, again.value, again.partition))
        elif luck < 0.12:
            value = chance.choice(POISON)
            sent.append(Sent(at, chance.choice((None, f"{tenant}/ann", "\xff")), text_of(value)))
        else:
            sent.append(_event(chance, tenant, made[tenant], number, at, pays))
    # What captures and reverses may come before what it names: some go back in time.
    return sorted(sent, key=lambda each: each.at)


def _event(
    chance: Random, tenant: str, made: list[tuple[str, Any]], number: int, at: float, pays: bool
) -> Sent:
    name = f"{tenant} {number}"
    if made and chance.random() < 0.04:
        name = chance.choice(made)[0]
    if len(made) < 4 and chance.random() < 0.7:
        data = {
            "debit": "external:bank",
            "credit": chance.choice(("ann", "bob", "shop")),
            "amount": 500,
            "asset": "USD/2",
        }
        event_type = "transfer.post.v1"
    elif pays and chance.random() < 0.3:
        data = {
            "debit": chance.choice(("ann", "bob", "external:bank")),
            "credit": chance.choice(("shop", "external:fx")),
            "amount": chance.randint(1, 40),
            "asset": "USD/2",
            "provider": "bank",
        }
        event_type = "payment.request.v1"
    else:
        event_type, data = random_command(chance, made)  # type: ignore[arg-type]
    made.append((name, event_type))
    value = encoded(_body(event_type, data, tenant, name))
    account = data.get("debit") or data.get("account") or "ann"
    key = f"{tenant}/{account}"
    if chance.random() < 0.1:
        key = f"{tenant}/ann"
    return Sent(at, key, text_of(value))


def _body(event_type: str, data: Any, tenant: str, name: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id(name),
        "source": "tests",
        "type": event_type,
        "tenant": tenant,
        "data": json.loads(json.dumps(data)),
    }


def _faults(chance: Random, workers: dict[str, int]) -> list[Fault]:
    processes = [f"{kind}-{number}" for kind, count in workers.items() for number in range(count)]
    count = chance.choice((0, 3, 7, 14, 26))
    return sorted((_fault(chance, processes) for _ in range(count)), key=lambda each: each.at)


def _fault(chance: Random, processes: list[str]) -> Fault:
    faults = _Faults(chance, round(chance.uniform(0.0, LASTS_S), 4), chance.choice(processes))
    return chance.choice(FAULTS)(faults)


@dataclass(frozen=True)
class _Faults:
    """Every fault that may happen to a process, or to a server, at one time; each draws what it needs."""

    chance: Random
    at: float
    process: str

    def kill(self) -> Fault:
        return Fault(self.at, "kill", self.process, s=self._short())

    def crash(self) -> Fault:
        point = self.chance.choice(CRASH_POINTS[self.process.partition("-")[0]])
        return Fault(self.at, "crash", self.process, point, self._short(), self.chance.randint(1, 3))

    def terminate(self) -> Fault:
        return Fault(self.at, "terminate", self.process, s=self._short())

    def pause(self) -> Fault:
        return Fault(self.at, "pause", self.process, s=self._between(0.5, 25.0))

    def rebalance(self) -> Fault:
        return Fault(self.at, "rebalance", self.process)

    def publish(self) -> Fault:
        when = self.chance.choice(("before", "after"))
        return Fault(self.at, "publish", self.process, when, count=self.chance.randint(1, 4))

    def commit(self) -> Fault:
        when = self.chance.choice(("before", "after", "late"))
        late_s = self._between(0.0, 4.0)
        return Fault(self.at, "postgres commit", self.process, when, late_s, self.chance.randint(1, 2))

    def step(self) -> Fault:
        step = self.chance.choice(STEPS)
        return Fault(self.at, f"postgres {step}", self.process, self.chance.choice(("before", "after")))

    def postgres_restart(self) -> Fault:
        return Fault(self.at, "postgres restart")

    def postgres_away(self) -> Fault:
        return self._away("postgres")

    def kafka_away(self) -> Fault:
        return self._away("kafka")

    def slow(self) -> Fault:
        server = self.chance.choice(("postgres", "kafka"))
        return Fault(self.at, "slow", server, s=self._between(1.0, 6.0))

    def drop(self) -> Fault:
        return Fault(self.at, "drop", self.process, count=self.chance.randint(1, 2))

    def clock(self) -> Fault:
        return Fault(
            self.at, "clock", self.process, s=round(self.chance.choice((-3600.0, -30.0, 5.0, 120.0)), 1)
        )

    def provider(self) -> Fault:
        return Fault(self.at, "provider", "", self.chance.choice(PROVIDER), count=self.chance.randint(1, 3))

    def redis_away(self) -> Fault:
        return self._away("redis")

    def flush(self) -> Fault:
        return Fault(self.at, "flush")

    def rewind(self) -> Fault:
        return Fault(self.at, "rewind", self.process)

    def provider_away(self) -> Fault:
        return self._away("provider", s_max=8.0)

    def hole(self) -> Fault:
        topic = self.chance.choice(("payments", "ledger.outcomes", "ledger.entries"))
        return Fault(self.at, "hole", topic)

    def _away(self, server: str, s_max: float = 4.0) -> Fault:
        return Fault(self.at, "away", server, s=self._between(0.1, s_max))

    def _short(self) -> float:
        return self._between(0.1, 3.0)

    def _between(self, s_min: float, s_max: float) -> float:
        return round(self.chance.uniform(s_min, s_max), 3)


# What stands twice is drawn twice as often. In another order every seed would draw another plan.
FAULTS: tuple[Callable[[_Faults], Fault], ...] = (
    *(_Faults.kill, _Faults.kill),
    *(_Faults.crash, _Faults.crash),
    _Faults.terminate,
    _Faults.pause,
    *(_Faults.rebalance, _Faults.rebalance),
    _Faults.publish,
    *(_Faults.commit, _Faults.commit),
    _Faults.step,
    _Faults.postgres_restart,
    _Faults.postgres_away,
    _Faults.kafka_away,
    _Faults.slow,
    *(_Faults.drop, _Faults.drop),
    _Faults.clock,
    *(_Faults.provider, _Faults.provider),
    _Faults.redis_away,
    _Faults.flush,
    _Faults.rewind,
    _Faults.provider_away,
    _Faults.hole,
)
