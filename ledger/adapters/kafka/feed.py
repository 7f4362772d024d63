"""The feed of outcomes: follows their topic from its end, without a group, and says how far behind it is."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import start_client
from ledger.adapters.kafka.records import FetchedRecord, read_all_records
from ledger.adapters.kafka.stream import places_of
from ledger.application.outcome_feed import Notice, OutcomeFeed, Touched
from ledger.contract.outgoing import FINGERPRINT
from ledger.domain.outcome import OutcomeKind
from ledger.observability.signals import Signals

FETCH_MS = 500
LOOK_S = 1.0
ANSWER_S = 3.0
BEHIND_RECORDS_MAX = 50_000
RETRY_S = 1.0

_KINDS: Final[dict[str, OutcomeKind]] = {
    "event.posted.v1": "posted",
    "event.rejected.v1": "rejected",
    "event.duplicate.v1": "duplicate",
}


class _Hold(msgspec.Struct, gc=False):
    """Only that there is one counts."""


class _Data(msgspec.Struct, gc=False):
    entries: list[Touched] = []
    hold: _Hold | None = None
    posted_at: datetime | None = None


class _Outcome(msgspec.Struct, gc=False):
    id: str
    type: str
    tenant: str
    data: _Data


_outcomes = msgspec.json.Decoder(_Outcome)


def read_notice(record: FetchedRecord) -> Notice | None:
    """Read of an outcome what is needed to find who waits for it; None for what is no outcome."""
    try:
        outcome = _outcomes.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    kind = _KINDS.get(outcome.type)
    if kind is None:
        return None
    touched: Sequence[Touched] = outcome.data.entries
    if outcome.data.hold is not None:
        touched = [*touched, *_held(record.key, outcome.tenant)]
    fingerprint = next((value for name, value in record.headers if name == FINGERPRINT), None)
    return Notice(
        outcome.tenant, outcome.id, kind, fingerprint, outcome.data.posted_at, touched, record.value
    )


def _held(key: bytes | None, tenant: str) -> Sequence[Touched]:
    """A hold's outcome does not name its account; its key does, where it went under the account's own."""
    of_tenant, _, account = (key or b"").decode(errors="replace").partition("/")
    return [Touched(account, None, None)] if account and of_tenant == tenant else []


class KafkaFeed:
    """Follows the topic of outcomes for one hub, until it is stopped; goes on by itself after any fault."""

    def __init__(self, kafka: KafkaAccess | str, topic: str, feed: OutcomeFeed, signals: Signals) -> None:
        self._kafka = kafka
        self._topic = topic
        self._feed = feed
        self._signals = signals
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self.lag_records = 0
        self.fresh_at = monotonic()

    @property
    def staleness_s(self) -> float:
        """How long ago the feed was last known to have read all there was."""
        return monotonic() - self.fresh_at

    async def start(self, wait_s: float = ANSWER_S) -> None:
        """Begin; returns when it follows, or after `wait_s` while Kafka is away."""
        read_all_records()
        self._task = asyncio.create_task(self._keep_following(), name="outcome feed")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), wait_s)

    async def stop(self) -> None:
        self._feed.is_following = False
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_following(self) -> None:
        while True:
            try:
                await self._follow()
            except Exception as error:  # whatever it is, those who wait must have a feed again
                self._away(repr(error))
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka), enable_auto_commit=False, auto_offset_reset="latest"
        )
        try:
            await start_client(consumer, self._kafka)
            await self._seek_to_end(consumer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_looking(consumer))
                tasks.create_task(self._read(consumer))
        finally:
            self._feed.is_following = False
            await consumer.stop()

    async def _seek_to_end(self, consumer: Any) -> None:
        places = await places_of(consumer, self._topic, wait_s=ANSWER_S)
        if not places:
            raise KafkaError(f"there is no topic {self._topic}")
        consumer.assign(places)
        async with asyncio.timeout(ANSWER_S):
            for place, end in (await consumer.end_offsets(places)).items():
                consumer.seek(place, end)
        self._fresh()
        self._feed.missed()

    async def _read(self, consumer: Any) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=FETCH_MS, max_records=2000)).values():
                for record in records:
                    notice = read_notice(record)
                    if notice is not None:
                        self._feed.hear(notice)
                    else:
                        self._signals.emit(
                            "feed.not_an_outcome", partition=record.partition, offset=record.offset
                        )
            await asyncio.sleep(0)

    async def _keep_looking(self, consumer: Any) -> None:
        """Ask now and then where the topic ends: silence alone does not tell a quiet topic from a lost broker."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._look_once(consumer)
            except (KafkaError, TimeoutError) as error:
                self._away(repr(error))

    async def _look_once(self, consumer: Any) -> None:
        places: list[TopicPartition] = sorted(consumer.assignment())
        if len(consumer.partitions_for_topic(self._topic) or ()) > len(places):
            raise _GrownError(f"{self._topic} has more partitions now")
        ends = await consumer.end_offsets(places)
        # The broker's answer comes first: what is read up to now may be ahead of it, never behind.
        lags = [end - await consumer.position(place) for place, end in ends.items()]
        self.lag_records = sum(max(lag, 0) for lag in lags)
        if self.lag_records <= BEHIND_RECORDS_MAX:
            self._fresh()
        else:
            self._away(f"{self.lag_records} records behind")

    def _fresh(self) -> None:
        self.fresh_at = monotonic()
        self._begun.set()
        if not self._feed.is_following:
            self._feed.is_following = True
            self._signals.emit("feed.following", topic=self._topic)

    def _away(self, fault: str) -> None:
        if self._feed.is_following or not self._begun.is_set():
            self._signals.emit("feed.lost", topic=self._topic, fault=fault)
        self._begun.set()
        self._feed.is_following = False


class _GrownError(Exception):
    """The topic has more partitions than are followed."""
