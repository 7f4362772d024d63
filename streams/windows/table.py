"""The Faust table of windows: its changelog in chunks, checked for gaps; the book is told when it may be opened."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import faust
from faust.tables.recovery import Recovery
from faust.types import TP, EventT

from streams.transport.app import ChunkedApp, chunked_topic
from streams.transport.chunk import Chunk

WithPartitions = Callable[[set[int]], Awaitable[None]]

STALLED_S = 3.0
STALLED_S_MAX = 60.0


class WindowTable(faust.Table[bytes, bytes]):
    """A plain table; written by checkpoints, recovered by Faust.

    Around a rebalance Faust drops chunks that it has fetched and goes on after them. In a recovery that would lose
    what they hold, so a chunk that does not join what was applied is put back, and sought again.
    """

    def __init__(
        self,
        app: ChunkedApp,
        topic: str,
        make_store: Callable[[ChunkedApp, "WindowTable"], Any],
        on_rebalanced: WithPartitions,
        on_recovered: WithPartitions,
    ) -> None:
        # Two or more, or Faust would go on reading the changelog after it has recovered.
        super().__init__(
            app,
            name="windows",
            key_type=bytes,
            value_type=bytes,
            changelog_topic=chunked_topic(app, topic),
            recovery_buffer_size=2,
        )
        self._make_store = make_store
        self._rebalanced = on_rebalanced
        self._recovered = on_recovered
        self._next: dict[TP, int] = {}

    def _new_store(self) -> Any:
        return self._make_store(self.app, self)  # type: ignore[arg-type]

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Faust is about to recover what was assigned: nothing of an earlier recovery may get into it."""
        self._next.clear()
        self._recovery.buffers[self].clear()
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        topic = self.changelog_topic_name
        await self._rebalanced({tp.partition for tp in assigned if tp.topic == topic})

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Open the book; Faust would swallow what goes wrong in here."""
        try:
            await super().on_recovery_completed(active_tps, standby_tps)
            await self._recovered({tp.partition for tp in active_tps})
        except Exception as fault:
            await self.app.crash(fault)
            raise

    # Recovery

    async def on_changelog_event(self, event: EventT[Any]) -> None:
        """Faust has a chunk, and has taken it as read."""
        chunk: Chunk = event.message.value  # type: ignore[assignment]
        tp = event.message.tp
        is_active = tp in self._recovery.active_tps
        expected = await self._expected(tp) if is_active else 0
        if is_active and chunk.start_offset <= expected:
            self._next[tp] = max(expected, chunk.end_offset)
            return
        self._recovery.buffers[self].remove(event)
        if is_active:
            await self._seek_back(tp, expected)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Hand chunks to the store."""
        self.data.apply_changelog_batch(batch, to_key=self._to_key, to_value=self._to_value)

    async def mend_recovery(self) -> None:
        """Seek again where a recovery waits for what was dropped with nothing after it to show it."""
        seen: dict[TP, int] = {}
        patience_s = STALLED_S
        while True:
            await asyncio.sleep(patience_s)
            remaining = self._remaining()
            stalled = [tp for tp, count in remaining.items() if seen.get(tp) == count]
            for tp in stalled:
                await self._seek_back(tp, await self._expected(tp))
            # Where nothing is lost and all is slow, seeking again would only make it slower.
            patience_s = min(STALLED_S_MAX, 2 * patience_s) if stalled else STALLED_S
            seen = remaining

    def _remaining(self) -> dict[TP, int]:
        if not self._recovery.in_recovery:
            return {}
        return {tp: count for tp, count in self._recovery.active_remaining().items() if count > 0}

    async def _expected(self, tp: TP) -> int:
        if tp not in self._next:
            first = (await self.app.consumer.earliest_offsets(tp))[tp]
            persisted = self.data.persisted_offset(tp)
            self._next[tp] = first if persisted is None else max(first, persisted + 1)
        return self._next[tp]

    async def _seek_back(self, tp: TP, offset: int) -> None:
        self._recovery.active_offsets[tp] = offset - 1
        signals = cast(ChunkedApp, self.app).flow.signals
        signals.emit("changelog.sought_again", topic=tp.topic, partition=tp.partition, offset=offset)
        await self.app.consumer.seek_wait({tp: offset})

    @property
    def _recovery(self) -> Recovery:
        return self.app.tables.recovery  # type: ignore[attr-defined,no-any-return]
