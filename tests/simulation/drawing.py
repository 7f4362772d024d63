"""Draws the plan of a seed: how many workers, which events in which order, and what goes wrong when."""

import json
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
    at = round(chance.uniform(0.0, LASTS_S), 4)
    process = chance.choice(processes)
    kind = process.partition("-")[0]
    makers = (
        lambda: Fault(at, "kill", process, s=_short(chance)),
        lambda: Fault(at, "kill", process, s=_short(chance)),
        lambda: Fault(
            at, "crash", process, chance.choice(CRASH_POINTS[kind]), _short(chance), chance.randint(1, 3)
        ),
        lambda: Fault(
            at, "crash", process, chance.choice(CRASH_POINTS[kind]), _short(chance), chance.randint(1, 3)
        ),
        lambda: Fault(at, "terminate", process, s=_short(chance)),
        lambda: Fault(at, "pause", process, s=round(chance.uniform(0.5, 25.0), 3)),
        lambda: Fault(at, "rebalance", process),
        lambda: Fault(at, "rebalance", process),
        lambda: Fault(at, "publish", process, chance.choice(("before", "after")), count=chance.randint(1, 4)),
        lambda: Fault(
            at,
            "postgres commit",
            process,
            chance.choice(("before", "after", "late")),
            round(chance.uniform(0.0, 4.0), 3),
            chance.randint(1, 2),
        ),
        lambda: Fault(
            at,
            "postgres commit",
            process,
            chance.choice(("before", "after", "late")),
            round(chance.uniform(0.0, 4.0), 3),
            chance.randint(1, 2),
        ),
        lambda: Fault(at, f"postgres {chance.choice(STEPS)}", process, chance.choice(("before", "after"))),
        lambda: Fault(at, "postgres restart"),
        lambda: Fault(at, "away", "postgres", s=round(chance.uniform(0.1, 4.0), 3)),
        lambda: Fault(at, "away", "kafka", s=round(chance.uniform(0.1, 4.0), 3)),
        lambda: Fault(at, "slow", chance.choice(("postgres", "kafka")), s=round(chance.uniform(1.0, 6.0), 3)),
        lambda: Fault(at, "drop", process, count=chance.randint(1, 2)),
        lambda: Fault(at, "drop", process, count=chance.randint(1, 2)),
        lambda: Fault(at, "clock", process, s=round(chance.choice((-3600.0, -30.0, 5.0, 120.0)), 1)),
        lambda: Fault(at, "provider", "", chance.choice(PROVIDER), count=chance.randint(1, 3)),
        lambda: Fault(at, "provider", "", chance.choice(PROVIDER), count=chance.randint(1, 3)),
        lambda: Fault(at, "away", "redis", s=round(chance.uniform(0.1, 4.0), 3)),
        lambda: Fault(at, "flush"),
        lambda: Fault(at, "rewind", process),
        lambda: Fault(at, "away", "provider", s=round(chance.uniform(0.1, 8.0), 3)),
        lambda: Fault(at, "hole", chance.choice(("payments", "ledger.outcomes", "ledger.entries"))),
    )
    return chance.choice(makers)()


def _short(chance: Random) -> float:
    return round(chance.uniform(0.1, 3.0), 3)
