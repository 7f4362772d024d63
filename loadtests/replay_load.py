"""Transfers between accounts at random, as replays are measured with."""

from random import Random

import orjson

from ledger.adapters.system import new_event_id
from ledger.contract.outgoing import CONTENT_TYPE, record_key
from streams.transport.publisher import Outgoing

ACCOUNTS = 10_000
TENANT = "acme"


def transfers(topic: str, count: int, chance: Random) -> list[Outgoing]:
    """Make transfers between accounts at random; one in fifty is refused, for its payer has nothing."""
    return [_transfer(topic, chance) for _ in range(count)]


def _transfer(topic: str, chance: Random) -> Outgoing:
    debit = f"poor:{chance.randrange(100)}" if chance.random() < 0.02 else f"external:{chance.randrange(100)}"
    body = {
        "specversion": "1.0",
        "id": new_event_id(),
        "source": "loadtests",
        "type": "transfer.post.v1",
        "tenant": TENANT,
        "data": {
            "debit": debit,
            "credit": f"customer:{chance.randrange(ACCOUNTS)}",
            "amount": chance.randrange(1, 10_000),
            "asset": "USD/2",
        },
    }
    return Outgoing(topic, record_key(TENANT, debit), orjson.dumps(body), (CONTENT_TYPE,))
