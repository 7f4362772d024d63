"""Where each partition of a chunked app stands, for health, metrics and the watchdog."""

from dataclasses import dataclass
from typing import cast

from aiokafka import TopicPartition
from faust.exceptions import ConsumerNotStarted

from streams.transport.app import ChunkedApp
from streams.transport.consumer import ChunkedConsumer


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition held by this worker. Offsets are those of the next record; times are monotonic seconds."""

    place: TopicPartition
    frontier: int
    committed: int | None
    end: int | None
    generation: int
    advanced_at: float

    @property
    def lag(self) -> int:
        """Offsets between the frontier and the end that the broker last told, holes included."""
        return 0 if self.end is None else max(0, self.end - self.frontier)


def holds_partition_0(app: ChunkedApp) -> bool:
    """Whether it is for this worker to do what one worker of a group does for all."""
    return any(state.place.partition == 0 for state in partition_states(app))


def partition_states(app: ChunkedApp) -> list[PartitionState]:
    """The partitions held now; may be called from any thread."""
    consumer = cast(ChunkedConsumer, app.consumer)
    states = []
    for place in app.flow.frontiers.held():
        frontier = app.flow.frontiers.get(place)
        if frontier is not None:
            states.append(
                PartitionState(
                    place,
                    frontier.offset,
                    frontier.committed,
                    _end(consumer, place),
                    app.consumer_generation_id,
                    frontier.advanced_at,
                )
            )
    return states


def _end(consumer: ChunkedConsumer, place: TopicPartition) -> int | None:
    try:
        return consumer.readable_end(place)
    except ConsumerNotStarted:
        return None
