"""How far the stream was read: what the book needs to know of the consumer, to say how fresh it is."""

from typing import NamedTuple, Protocol, cast

from aiokafka import TopicPartition
from faust.exceptions import ConsumerNotStarted

from streams.transport.app import ChunkedApp
from streams.transport.consumer import ChunkedConsumer


class Told(NamedTuple):
    """What the broker told last of a partition: where its readable part ends, and when, in seconds since 1970."""

    end: int
    at: float


class Reach(Protocol):
    """What the book asks of the stream."""

    def is_settled(self) -> bool:
        """Whether this worker takes part in its group, and no rebalance or recovery is going on."""
        ...

    def frontier(self, partition: int) -> int | None:
        """Give the offset before which everything is done; None: the partition is not held."""
        ...

    def told(self, partition: int) -> Told | None:
        """Give what the last fetch told."""
        ...


class AppReach:
    """The Reach of a Faust app over one topic."""

    def __init__(self, app: ChunkedApp, topic: str) -> None:
        self._app = app
        self._topic = topic

    def is_settled(self) -> bool:
        return bool(self._app.tables.actives_ready) and not self._app.rebalancing

    def frontier(self, partition: int) -> int | None:
        frontier = self._app.flow.frontiers.get(TopicPartition(self._topic, partition))
        return None if frontier is None else frontier.offset

    def told(self, partition: int) -> Told | None:
        try:
            found = cast(ChunkedConsumer, self._app.consumer).told(TopicPartition(self._topic, partition))
        except ConsumerNotStarted:
            return None
        return None if found is None else Told(*found)
