"""Requests to Kafka that nobody answers: their connection is given up, long before Faust would.

Faust lets every request take 90 s, because one that joins a group is answered only when the rebalance ends. Over a
connection whose other end is gone without a word, heartbeats and fetches would wait as long.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

ANSWER_S = 30.0
"""As long as other clients wait; a fetch of all that one may hold has to fit in, over a slow network."""

SILENT_S = 10.0
"""Not a byte for so long, while an answer is due, and nobody is there: a slow network lets some through."""

LOOKS = 5
"""So many times in that time it is looked at what has come."""

REBALANCE_MARGIN_S = 5.0
"""A rebalance ends when its time is over, and so does the wait for it a little later."""

_HELD_BACK = (JoinGroupRequest, SyncGroupRequest)
"""The broker answers these when all members are there, and until then nothing else on their connection."""


class BoundedSending:
    """How a client sends: it gives up a connection that has not answered for so long, or is silent.

    `rebalance_s`: so long a rebalance may take; what is answered only at its end, and what waits behind that, is
    given up a little later.
    """

    def __init__(
        self,
        client: AIOKafkaClient,
        rebalance_s: float,
        seconds: float = ANSWER_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self._client = client
        self._usual = client.send
        self._seconds = seconds
        self._silent_s = silent_s
        self._rebalance_s = rebalance_s + REBALANCE_MARGIN_S
        self._held_back = 0

    async def __call__(
        self, node: int, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT
    ) -> Any:
        """Send, and give the answer; raises aiokafka's errors, RequestTimedOutError among them."""
        if isinstance(request, _HELD_BACK):
            self._held_back += 1
            try:
                return await self._sent(self._rebalance_s, node, request, group)
            finally:
                self._held_back -= 1
        if self._held_back and group == ConnectionGroup.COORDINATION:
            return await self._sent(self._rebalance_s, node, request, group)
        with self._listening(node, group):
            return await self._sent(self._seconds, node, request, group)

    @contextmanager
    def _listening(self, node: int, group: ConnectionGroup) -> Iterator[None]:
        """Give the connection up as soon as it is silent, unless a rebalance has begun behind which it waits."""
        listening = asyncio.create_task(self._listen(node, group))
        try:
            yield
        finally:
            listening.cancel()

    async def _listen(self, node: int, group: ConnectionGroup) -> None:
        heard, looks = self._heard(node, group), 0
        while looks < LOOKS:
            await asyncio.sleep(self._silent_s / LOOKS)
            before, heard = heard, self._heard(node, group)
            is_silent = heard is not None and heard == before
            waits_behind = self._held_back and group == ConnectionGroup.COORDINATION
            looks = looks + 1 if is_silent and not waits_behind else 0
        self._give_up(node, group)

    def _heard(self, node: int, group: ConnectionGroup) -> object:
        """Tell what came over a connection so far: it differs when more has come, and for another connection."""
        connection = self._client._conns.get((node, group))
        if connection is None or connection._reader is None:
            return None
        return connection, connection._last_action, len(connection._reader._buffer)

    async def _sent(self, seconds: float, node: int, request: Any, group: ConnectionGroup) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await self._usual(node, request, group=group)
        except TimeoutError as error:
            self._give_up(node, group)
            raise RequestTimedOutError from error

    def _give_up(self, node: int, group: ConnectionGroup) -> None:
        connection = self._client._conns.get((node, group))
        if connection is not None:
            connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
