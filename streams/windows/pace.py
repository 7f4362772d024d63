"""Whether a checkpoint should wait for more: what the lanes hold back, and whether anything can still come."""

from collections.abc import Mapping
from typing import cast

from streams.transport.app import ChunkedApp
from streams.transport.consumer import ChunkedConsumer


class AppPace:
    """The Pace of a Faust app over the one topic that it takes in chunks."""

    def __init__(self, app: ChunkedApp) -> None:
        self._app = app

    def is_stopping(self) -> bool:
        """Whether the flow has stopped."""
        return self._app.should_stop or not self._consumer.flow_active

    def backlog(self, waiting: Mapping[int, int]) -> int:
        """How many records the fullest waiting lane holds back; 0 while a lane has something left to merge."""
        most = 0
        frontiers = self._app.flow.frontiers
        for place in frontiers.held():
            frontier, end = frontiers.get(place), self._consumer.readable_end(place)
            if frontier is None or end is None:
                continue
            merged_to = waiting.get(place.partition)
            if merged_to is None and end > frontier.offset:
                return 0
            most = max(most, end - (merged_to or frontier.offset))
        return most

    @property
    def _consumer(self) -> ChunkedConsumer:
        return cast(ChunkedConsumer, self._app.consumer)
