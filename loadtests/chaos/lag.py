"""How far each group is behind its topic, looked at all the time: how long recovery takes is read off it."""

import asyncio
from collections.abc import Mapping
from time import monotonic

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

LOOK_S = 0.5
ANSWER_S = 3.0
FAILED_MAX = 4
"""After so many looks in a row that failed, other clients look: one may hold on to a broker that is gone."""


class Sample(msgspec.Struct, frozen=True):
    """One look: seconds since the start; records that each group has not handled; none while Kafka does not answer."""

    at_s: float
    ends: dict[str, list[int]] | None = None
    done: dict[str, list[int]] | None = None
    sent: int = 0
    rate: float = 0.0

    @property
    def lag(self) -> int | None:
        """Records that some group has not handled, over all."""
        lags = self.lags
        return None if lags is None else sum(lags.values())

    @property
    def lags(self) -> dict[str, int] | None:
        """Records that each group has not handled."""
        if self.ends is None or self.done is None:
            return None
        return {
            group: sum(max(0, end - done) for end, done in zip(ends, self.done[group], strict=True))
            for group, ends in self.ends.items()
        }

    def has_done(self, ends: Mapping[str, list[int]]) -> bool:
        """Whether every group has handled everything before these ends."""
        return self.done is not None and all(
            done >= end
            for group, of_group in ends.items()
            for done, end in zip(self.done[group], of_group, strict=True)
        )


class Gauge:
    """Asks Kafka where topics end and where groups are: one client for each, which never joins."""

    def __init__(self, kafka: str, groups: Mapping[str, str], partitions: int) -> None:
        self._kafka = kafka
        self._places = {
            group: [TopicPartition(topic, number) for number in range(partitions)]
            for group, topic in groups.items()
        }
        self._failed = 0
        self._clients = self._connected()

    def look(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Give the ends and what is done, by group and partition; raises KafkaException."""
        try:
            found = self._looked()
        except KafkaException:
            self._failed += 1
            if self._failed % FAILED_MAX == 0:
                self.close()
                self._clients = self._connected()
            raise
        self._failed = 0
        return found

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def _connected(self) -> dict[str, Consumer]:
        return {group: _client(self._kafka, group) for group in self._places}

    def _looked(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        ends, done = {}, {}
        for group, places in self._places.items():
            client = self._clients[group]
            committed = client.committed(places, timeout=ANSWER_S)
            done[group] = [max(0, each.offset) for each in committed]
            ends[group] = [client.get_watermark_offsets(each, timeout=ANSWER_S)[1] for each in places]
        return ends, done


class Watch:
    """Looks at the lag until it is told to stop, and keeps what it saw."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._begun = monotonic()
        self._task: asyncio.Task[None] | None = None
        self.samples: list[Sample] = []
        self.fault = ""
        """Why the last look failed; nothing if it did not."""
        self.sent = 0
        self.rate = 0.0

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._begun

    @property
    def last(self) -> Sample:
        """The last look."""
        return self.samples[-1] if self.samples else Sample(0.0)

    @property
    def said(self) -> str:
        """Say the lag of the last look, or why there is none."""
        return str(self.last.lags or self.fault or "unknown")

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._gauge.close()

    async def fresh(self, within_s: float) -> Sample:
        """Wait for a look that begins now and succeeds; raises TimeoutError."""
        begun = self.now_s
        async with asyncio.timeout(within_s):
            while self.last.ends is None or self.last.at_s <= begun:  # noqa: ASYNC110 - a look is short
                await asyncio.sleep(LOOK_S / 5)
        return self.last

    async def _run(self) -> None:
        while True:
            at_s = self.now_s
            ends = done = None
            try:
                ends, done = await asyncio.to_thread(self._gauge.look)
                self.fault = ""
            except KafkaException as error:
                self.fault = str(error)
            self.samples.append(Sample(round(at_s, 2), ends, done, self.sent, self.rate))
            await asyncio.sleep(LOOK_S)


def _client(kafka: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": group,
            "enable.auto.commit": False,
            "log_level": 0,
            "reconnect.backoff.max.ms": 500,
        }
    )
