"""The history that replays are tried on, and what of it was sent once."""

from collections import Counter
from random import Random
from typing import Any

import orjson

from tests.builders import body, encoded
from tests.random_events import random_command

EVENTS = 1200
TENANTS = ("acme", "globex")


def history(chance: Random, tenant: str) -> list[bytes]:
    """Random events of every type over few accounts; some ids come twice, with the same content or other."""
    specs: list[tuple[int, str, Any]] = []
    for number in range(EVENTS // len(TENANTS)):
        made = [spec[:2] for spec in specs]
        luck = chance.random()
        if specs and luck < 0.08:
            specs.append(chance.choice(specs))
        elif specs and luck < 0.12:
            specs.append((chance.choice(specs)[0], *random_command(chance, made)))
        else:
            specs.append((number, *random_command(chance, made)))
    return [encoded(body(kind, data, name=name, tenant=tenant)) for name, kind, data in specs]


def histories() -> list[list[bytes]]:
    return [history(Random(number), tenant) for number, tenant in enumerate(TENANTS)]


def sent_once() -> set[str]:
    ids = Counter(orjson.loads(each)["id"] for sent in histories() for each in sent)
    return {each for each, times in ids.items() if times == 1}
