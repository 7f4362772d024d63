"""Places for so many at once, and a queue for them in which no one stands in everybody's way."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

_Turn = asyncio.Future[bool]


class Places:
    """So many in flight and so many who wait, no longer than `wait_s` seconds.

    Those who wait get their turn in rounds, one of each name after the other. When the queue is full, a name
    that has few in it takes the last place of the one that has most.
    """

    def __init__(self, in_flight_max: int, queue_max: int, wait_s: float) -> None:
        self._in_flight_max = in_flight_max
        self._queue_max = queue_max
        self._wait_s = wait_s
        self._queues: OrderedDict[Hashable, deque[_Turn]] = OrderedDict()
        self.in_flight = 0
        self.waiting = 0

    def is_full(self, name: Hashable = None) -> bool:
        """Tell whether `name` could not even wait."""
        return (
            self.in_flight >= self._in_flight_max
            and self.waiting >= self._queue_max
            and self._greediest(name) is None
        )

    async def take(self, name: Hashable = None) -> bool:
        """Take a place, or wait for one; False: there is none."""
        if self.in_flight < self._in_flight_max:
            self.in_flight += 1
            return True
        if self.is_full(name):
            return False
        if self.waiting >= self._queue_max:
            self._turn_away_last(self._greediest(name))
        return await self._wait(name)

    async def _wait(self, name: Hashable) -> bool:
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(name, deque()).append(turn)
        self.waiting += 1
        try:
            await asyncio.wait({turn}, timeout=self._wait_s)
        except asyncio.CancelledError:
            if turn.done() and turn.result():
                self.give_back()
            raise
        finally:
            if not turn.done():
                self._remove(name, turn)
        return turn.done() and turn.result()

    def give_back(self) -> None:
        """Give a place to whose turn it is, or back."""
        if not self._queues:
            self.in_flight -= 1
            return
        name = next(iter(self._queues))
        turn = self._queues[name][0]
        self._queues.move_to_end(name)
        self._remove(name, turn)
        turn.set_result(True)

    def once(self) -> Callable[[], None]:
        """Give a function that gives one place back, however often it is called."""
        given = False

        def give_back() -> None:
            nonlocal given
            if not given:
                given = True
                self.give_back()

        return give_back

    def _greediest(self, name: Hashable) -> Hashable | None:
        """Name who has the most in the queue, if that is clearly more than `name` would have."""
        if not self._queues:
            return None
        found = max(self._queues, key=lambda each: len(self._queues[each]))
        own = len(self._queues.get(name, ()))
        return found if len(self._queues[found]) > own + 1 else None

    def _turn_away_last(self, name: Hashable) -> None:
        turn = self._queues[name][-1]
        self._remove(name, turn)
        turn.set_result(False)

    def _remove(self, name: Hashable, turn: _Turn) -> None:
        queue = self._queues[name]
        queue.remove(turn)
        self.waiting -= 1
        if not queue:
            del self._queues[name]
