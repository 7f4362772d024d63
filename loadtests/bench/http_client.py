"""`python -m loadtests.bench.http_client`: sends HTTP requests, by a schedule or as fast as they are answered.

A process of its own with a lean client, so that it takes little of the processors. With a rate it is an open loop: a
request that finds no free connection waits for one, and counts from when it was due. Without, each connection sends
its next request when it has the answer: that gives the highest rate, and latencies that leave out who waits outside.
"""

import asyncio
import gc
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import chain, islice
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import uvloop

from loadtests.bench.latencies import Latencies
from loadtests.workloads import Record, named

PREPARED_MAX = 200_000
REST_S = 0.001
END_S = 30.0
"""How long answers are waited for at the end."""

TURNED_AWAY = frozenset({429, 503})
AGAIN_S = 0.1
ERRORS, EXAMPLE_MAX = 400, 500

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


class Reads(msgspec.Struct, frozen=True, tag=True):
    """Balances of customers, drawn at random."""

    consistency: str
    accounts: int
    asset: str
    seed: int = 1


class Events(msgspec.Struct, frozen=True, tag=True):
    """Events of a workload, so many in a request; with `wait_s` the answer comes when they have outcomes."""

    workload: str
    count: int
    seed: int
    at_ms: int
    batch: int = 1
    wait_s: int = 0


class Calls(msgspec.Struct, frozen=True):
    """What is asked of whom; a rate of 0 is as fast as answers come."""

    url: str
    key: str
    what: Reads | Events
    seconds: float
    connections: int
    rate: float = 0.0


class Answered(msgspec.Struct, frozen=True):
    """What came back: requests sent, answers by status, latencies as HdrHistogram writes them; `seconds` of sending.

    Events that were turned away for now (`again`: answers by status) were sent again until they were taken: their
    latency is until then. `example` is the first answer that was an error.
    """

    sent: int
    statuses: dict[int, int]
    latencies: str
    seconds: float
    unanswered: int
    cpu_s: float
    again: dict[int, int] = {}
    example: str = ""


def requests(calls: Calls) -> Iterator[bytes]:
    """Make the requests as they go over the wire."""
    host = urlsplit(calls.url).netloc
    head = f"Host: {host}\r\nAuthorization: Bearer {calls.key}\r\n"
    if isinstance(calls.what, Reads):
        return _reads(calls.what, head)
    return _events(calls.what, head)


def _reads(what: Reads, head: str) -> Iterator[bytes]:
    chance = Random(what.seed)
    query = f"asset={what.asset}&consistency={what.consistency}"
    while True:
        account = f"customer:{chance.randrange(what.accounts)}"
        yield f"GET /v1/accounts/{account}/balance?{query} HTTP/1.1\r\n{head}\r\n".encode()


def _events(what: Events, head: str) -> Iterator[bytes]:
    records = named(what.workload).records(what.count, what.seed, what.at_ms)
    wait = f"\r\nPrefer: wait={what.wait_s}" if what.wait_s else ""
    while some := list(islice(records, what.batch)):
        body = _body(some)
        kind = f"{ONE if what.batch == 1 else BATCH}{wait}"
        lines = (
            f"POST /v1/events HTTP/1.1\r\n{head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield lines.encode() + body


def _body(records: list[Record]) -> bytes:
    values = [record.value for record in records]
    return values[0] if len(values) == 1 else b"[" + b",".join(values) + b"]"


class Answer(NamedTuple):
    """A whole answer, when its request was due, and what it was."""

    status: int
    due: float
    request: bytes
    received: bytes


class Connection(asyncio.Protocol):
    """One connection with one request at a time on its way."""

    def __init__(self, caller: "Caller") -> None:
        self._caller = caller
        self._transport: Any = None
        self._received = b""
        self._due: float | None = None
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request, which was due at a moment of the monotonic clock."""
        self._due, self._request = due, request
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer, and hand it on when it is whole."""
        self._received += data
        status = answered(self._received)
        if status is not None and self._due is not None:
            due, self._due, whole, self._received = self._due, None, self._received, b""
            self._caller.answered(self, Answer(status, due, self._request, whole))

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone, with what was on its way."""
        self._caller.lost(self, waiting=self._due is not None)

    def close(self) -> None:
        """Close it."""
        self._transport.close()


def answered(received: bytes) -> int | None:
    """Give the status of an answer that is whole; None until then. It has a length, or no body."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.lower().split(b"\r\n")
    lengths = [int(line.partition(b":")[2]) for line in lines[1:] if line.startswith(b"content-length:")]
    if len(body) < (lengths[0] if lengths else 0):
        return None
    return int(lines[0].split(b" ")[1])


class Caller:
    """Makes the calls of one order."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        made = requests(calls)
        self._requests = chain(list(islice(made, PREPARED_MAX)), made) if calls.rate else made
        self._free: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._waiting: deque[float] = deque()
        self._repeats: deque[tuple[bytes, float]] = deque()
        self._again: Counter[int] = Counter()
        self._example = ""
        self._latencies = Latencies()
        self._statuses: Counter[int] = Counter()
        self._sent = self._under_way = 0
        self._until = 0.0
        self._unanswered = self._sleeping = 0

    async def run(self) -> Answered:
        """Connect, send for the time that is set, and wait for the answers."""
        await asyncio.gather(*(self._connect() for _ in range(self._calls.connections)))
        begun, cpu_s = time.monotonic(), time.process_time()
        self._until = begun + self._calls.seconds
        await (self._by_schedule(begun) if self._calls.rate else self._as_answered())
        last = await self._end()
        return Answered(
            sent=self._sent,
            statuses=dict(self._statuses),
            latencies=self._latencies.encoded(),
            seconds=last - begun,
            unanswered=self._unanswered
            + self._under_way
            + len(self._waiting)
            + len(self._repeats)
            + self._sleeping,
            cpu_s=time.process_time() - cpu_s,
            again=dict(self._again),
            example=self._example,
        )

    async def _connect(self) -> None:
        address, loop = urlsplit(self._calls.url), asyncio.get_running_loop()
        host, port = address.hostname or "", address.port or 80
        _, connection = await loop.create_connection(lambda: Connection(self), host, port)
        self._all.add(connection)
        self._free.append(connection)

    async def _by_schedule(self, begun: float) -> None:
        count, most = 0, round(self._calls.rate * self._calls.seconds)
        while count < most:
            now = time.monotonic()
            upto = min(most, int((now - begun) * self._calls.rate) + 1)
            for number in range(count, upto):
                self._waiting.append(begun + number / self._calls.rate)
            count = max(count, upto)
            self._send_waiting()
            await asyncio.sleep(max(REST_S, begun + count / self._calls.rate - time.monotonic()))

    async def _as_answered(self) -> None:
        for _ in range(len(self._free)):
            self._waiting.append(time.monotonic())
        self._send_waiting()
        await asyncio.sleep(self._calls.seconds)

    async def _end(self) -> float:
        """Wait until all is answered, though not for ever; gives the moment."""
        deadline = time.monotonic() + END_S
        while self._is_awaited() and time.monotonic() < deadline:  # noqa: ASYNC110  # both are counted
            await asyncio.sleep(REST_S)
        ended = time.monotonic()
        for connection in list(self._all):
            connection.close()
        return ended

    def _is_awaited(self) -> bool:
        return bool(self._all and (self._under_way or self._waiting or self._repeats or self._sleeping))

    def _send_waiting(self) -> None:
        while self._repeats and self._free:
            self._under_way += 1
            self._free.popleft().send(*self._repeats.popleft())
        while self._waiting and self._free:
            request = next(self._requests, None)
            if request is None:
                self._waiting.clear()
                return
            self._sent += 1
            self._under_way += 1
            self._free.popleft().send(request, self._waiting.popleft())

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Count an answer, or send its request again; the connection is free again."""
        self._under_way -= 1
        self._free.append(connection)
        if answer.status >= ERRORS and not self._example:
            self._example = answer.received.decode(errors="replace")[-EXAMPLE_MAX:]
        if answer.status in TURNED_AWAY and isinstance(self._calls.what, Events):
            self._again[answer.status] += 1
            asyncio.get_running_loop().call_later(AGAIN_S, self._repeat, answer)
            self._sleeping += 1
        else:
            self._count(answer)
        self._send_waiting()

    def _count(self, answer: Answer) -> None:
        now = time.monotonic()
        self._latencies.add((now - answer.due) * 1e6)
        self._statuses[answer.status] += 1
        if not self._calls.rate and now < self._until:
            self._waiting.append(now)

    def _repeat(self, answer: Answer) -> None:
        self._sleeping -= 1
        self._repeats.append((answer.request, answer.due))
        self._send_waiting()

    def lost(self, connection: Connection, *, waiting: bool) -> None:
        """Count what has no answer; nothing is sent over that connection any more."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if waiting:
            self._under_way -= 1
            self._unanswered += 1


def main() -> None:
    """Read the order from the standard input, carry it out, and tell what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
    calls = msgspec.json.decode(sys.stdin.buffer.read(), type=Calls)
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(Caller(calls).run())
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
