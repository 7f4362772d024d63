"""The topic `payments` as sagas write to it: events that come while others are sent share the next sending."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from ledger.application.faults import LogAwayError
from ledger.contract.outgoing import HEADERS
from streams.transport.errors import PublishError
from streams.transport.publisher import BatchPublisher, Outgoing

RECORDS_MAX = 1000
GATHER_S = 0.01
"""So long others are waited for where some came while events were sent: a sending costs more than its events."""


class _Waiting(NamedTuple):
    record: Outgoing
    written: "asyncio.Future[None]"


class SharedLog:
    """A PaymentLog."""

    def __init__(self, publisher: BatchPublisher, topic: str) -> None:
        self._publisher = publisher
        self._topic = topic
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def publish(self, key: bytes, value: bytes) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(Outgoing(self._topic, key, value, HEADERS), written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:RECORDS_MAX], self._waiting[RECORDS_MAX:]
                await self._write_together(together)
                if self._waiting:
                    await asyncio.sleep(GATHER_S)
        finally:
            self._writing = None

    async def _write_together(self, together: Sequence[_Waiting]) -> None:
        fault: Exception | None = None
        try:
            await self._publisher.publish([each.record for each in together])
        except PublishError as error:
            fault = LogAwayError(f"Kafka did not take {len(together)} events: {error}")
        for each in together:
            if each.written.done():
                continue
            if fault is None:
                each.written.set_result(None)
            else:
                each.written.set_exception(fault)
