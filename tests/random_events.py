"""Streams of random events over few accounts, so that they meet: one source of chance is one stream."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from ledger.domain.commands import Event
from tests.builders import INT64_MAX, NOW, event, event_id

Data = dict[str, Any]
Made = Sequence[tuple[int, str]]
"""(name of the id, type of the event) of what was made before"""

ACCOUNTS = ["ann", "bob", "cash", "shop", "external:bank", "external:fx"]
ASSETS = ["USD/2", "USD/2", "USD/2", "JPY/0"]
HOLDING = ("hold.place.v1", "payment.request.v1")
ODD_AMOUNTS = [0, -1, INT64_MAX, INT64_MAX - 1, INT64_MAX + 1, 2**62, 10**30]


def random_stream(chance: Random, count: int, *, tenant: str = "acme", partition: int = 0) -> list[Event]:
    """Make `count` events as they would be read; about a sixth uses an id that was used before."""
    specs: list[tuple[int, str, Data]] = []
    for number in range(count):
        luck = chance.random()
        made = [spec[:2] for spec in specs]
        if specs and luck < 0.11:
            specs.append(chance.choice(specs))
        elif specs and luck < 0.15:
            specs.append((chance.choice(specs)[0], *random_command(chance, made)))
        else:
            specs.append((number, *random_command(chance, made)))
    return [
        event(event_type, data, name=name, tenant=tenant, at=(partition, offset))
        for offset, (name, event_type, data) in enumerate(specs)
    ]


def random_command(chance: Random, made: Made) -> tuple[str, Data]:
    """Make the type and data of one event; what it reverses, captures or voids was mostly made before."""
    makers = (
        [_transfer] * 6
        + [_post] * 2
        + [_reverse] * 2
        + [_hold] * 2
        + [_capture] * 2
        + [_open, _close, _void, _pay]
    )
    return chance.choice(makers)(chance, made)


def _earlier(chance: Random, made: Made, *types: str) -> str:
    """Name an earlier event of one of `types`, as a rule."""
    names = [name for name, event_type in made if event_type in types or chance.random() < 0.03]
    return event_id(chance.choice(names) if names else "nothing")


def _amount(chance: Random) -> int:
    return chance.choice(ODD_AMOUNTS) if chance.random() < 0.04 else chance.randint(1, 60)


def _details(chance: Random) -> Data:
    details: Data = {}
    if chance.random() < 0.2:
        details["reference"] = chance.choice(["order-17", "žluť", "a\nb"])
    if chance.random() < 0.1:
        details["metadata"] = chance.choice([{}, {"a": [1, None, {"b": 1.5}]}, {"n": 10**40, "x": 1e300}])
    if chance.random() < 0.1:
        details["effective_at"] = chance.choice(["2026-11-20T23:00:00-05:00", "0001-01-01T00:00:00.000001Z"])
    return details


def _movement(chance: Random) -> Data:
    debit, credit = chance.choice(ACCOUNTS), chance.choice(ACCOUNTS)
    if debit == credit and chance.random() < 0.9:
        debit = "external:bank" if credit != "external:bank" else "external:fx"
    return {"debit": debit, "credit": credit, "amount": _amount(chance), "asset": chance.choice(ASSETS)}


def _transfer(chance: Random, made: Made) -> tuple[str, Data]:
    return "transfer.post.v1", _movement(chance) | _details(chance)


def _post(chance: Random, made: Made) -> tuple[str, Data]:
    lines: list[Data] = [
        {
            "account": chance.choice(ACCOUNTS),
            "asset": chance.choice(ASSETS),
            "amount": chance.randint(-30, 30),
        }
        for _ in range(chance.randint(1, 3))
    ]
    if chance.random() < 0.95:
        for asset in sorted({str(line["asset"]) for line in lines}):
            rest = -sum(line["amount"] for line in lines if line["asset"] == asset)
            lines.append({"account": chance.choice(ACCOUNTS), "asset": asset, "amount": rest})
    lines = [line for line in lines if line["amount"] or chance.random() < 0.1]
    if len(lines) < 2:
        return _transfer(chance, made)
    return "transaction.post.v1", {"entries": lines} | _details(chance)


def _open(chance: Random, made: Made) -> tuple[str, Data]:
    data: Data = {"account": chance.choice(ACCOUNTS)}
    if chance.random() < 0.4:
        data["normal_side"] = chance.choice(["credit", "debit"])
    if chance.random() < 0.4:
        data["overdraft"] = chance.choice([0, 40, "unlimited"])
    if chance.random() < 0.2:
        data["metadata"] = chance.choice([{"a": 1}, {"a": 1e23}])
    return "account.open.v1", data


def _close(chance: Random, made: Made) -> tuple[str, Data]:
    return "account.close.v1", {"account": chance.choice(ACCOUNTS)}


def _reverse(chance: Random, made: Made) -> tuple[str, Data]:
    data: Data = {
        "transaction": _earlier(
            chance,
            made,
            "transfer.post.v1",
            "transaction.post.v1",
            "hold.capture.v1",
            "transaction.reverse.v1",
        )
    }
    return "transaction.reverse.v1", data | _part(chance)


def _part(chance: Random) -> Data:
    return {"amount": _amount(chance)} if chance.random() < 0.5 else {}


def _hold(chance: Random, made: Made) -> tuple[str, Data]:
    data = _movement(chance)
    if chance.random() < 0.4:
        data["expires_at"] = (NOW + timedelta(seconds=chance.randint(-5, 200))).isoformat()
    return "hold.place.v1", data


def _pay(chance: Random, made: Made) -> tuple[str, Data]:
    data = _movement(chance) | {"provider": "bank" if chance.random() < 0.9 else "nobody"}
    if chance.random() < 0.5:
        data["fee"] = {"account": chance.choice(ACCOUNTS), "amount": _amount(chance) // 9}
    if chance.random() < 0.2:
        data["deadline"] = (NOW + timedelta(seconds=chance.randint(-5, 200))).isoformat()
    return "payment.request.v1", data


def _capture(chance: Random, made: Made) -> tuple[str, Data]:
    data: Data = {"hold": _earlier(chance, made, *HOLDING)} | _part(chance)
    return "hold.capture.v1", data | ({"final": False} if chance.random() < 0.5 else {})


def _void(chance: Random, made: Made) -> tuple[str, Data]:
    return "hold.void.v1", {"hold": _earlier(chance, made, *HOLDING)}
