"""Looks at Kafka that come to nothing: what was begun for them is let go of, and the fault says why."""

import asyncio

import pytest

from ledger.adapters.kafka import stands as module
from ledger.adapters.kafka.stands import KafkaStands
from ledger.application.pipeline import StreamAskError


class EndlessStart:
    """A client of Kafka that does not come to its end of starting."""

    def __init__(self, **options: object) -> None:
        self.has_begun = self.is_closed = False

    async def start(self) -> None:
        self.has_begun = True
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[EndlessStart]:
    clients: list[EndlessStart] = []

    class Noted(EndlessStart):
        def __init__(self, **options: object) -> None:
            super().__init__(**options)
            clients.append(self)

    monkeypatch.setattr(module, "AIOKafkaAdminClient", Noted)
    return clients


async def test_a_look_that_nobody_waits_for_leaves_nothing_half_started(clients: list[EndlessStart]) -> None:
    stands = KafkaStands("127.0.0.1:1")
    for _ in range(2):
        look = asyncio.create_task(stands.look("payments", "nobody"))
        await asyncio.sleep(0.01)
        look.cancel()
        await asyncio.gather(look, return_exceptions=True)
    assert [(each.has_begun, each.is_closed) for each in clients] == [(True, True)] * 2


async def test_the_fault_says_which_server_could_not_be_used() -> None:
    with pytest.raises(StreamAskError, match=r"127\.0\.0\.1:1: "):
        await KafkaStands("127.0.0.1:1").look("payments", "nobody")
