"""What is sent by a schedule is timed from when it was due, whoever was slow; and the knee is where lag grows."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from uuid import uuid4

import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ledger.adapters.workers.wire import BALANCE_PATH
from loadtests.bench.flow import Flown, flow
from loadtests.bench.http_client import Answered, Caller, Calls, Reads, answered
from loadtests.bench.latencies import decoded
from loadtests.bench.observer import COMMITTED, OUTCOME, Awaited
from loadtests.bench.orders import Order, Probe, Seen
from loadtests.bench.ramp import Held, Watcher, judge, knee, ramp_steps
from loadtests.bench.schedule import Schedule, Step
from loadtests.bench.windows_probe import WindowsProber
from streams.transport.publisher import BatchPublisher, Outgoing

STALL_S = 0.7
RATE, SECONDS = 200.0, 3.0


def order(**changes: object) -> Order:
    given: dict[str, object] = {
        "kafka": "", "payments_topic": "payments", "outcomes_topic": "outcomes", "workload": "uniform", "seed": 1,
        "at_ms": time.time_ns() // 1_000_000, "steps": [Step(RATE, SECONDS)],
    }  # fmt: skip
    return Order(**{**given, **changes})  # type: ignore[arg-type]


def test_a_schedule_is_even_within_each_step() -> None:
    schedule = Schedule([Step(10, 2), Step(100, 1)])

    dues = list(schedule.dues_s())

    assert (schedule.count, schedule.seconds, len(dues)) == (120, 3, 120)
    assert dues == [schedule.due_s(index) for index in range(120)]
    assert [later - earlier for earlier, later in pairwise(dues[:21])] == pytest.approx([0.1] * 20)
    assert [later - earlier for earlier, later in pairwise(dues[20:])] == pytest.approx([0.01] * 99)
    assert [schedule.step_of(index) for index in (0, 19, 20, 119)] == [0, 0, 1, 1]


def test_a_schedule_counts_what_is_due() -> None:
    schedule = Schedule([Step(10, 2), Step(100, 1)])

    for index, due_s in enumerate(schedule.dues_s()):
        assert schedule.due_by(due_s) == index + 1
        assert schedule.due_by(due_s - 0.001) == index
    assert schedule.due_by(-1) == 0
    assert schedule.due_by(99) == 120


def test_a_schedule_of_nothing_is_refused() -> None:
    for steps in ([], [Step(0, 1)], [Step(0.1, 1)]):
        with pytest.raises(ValueError, match="schedule"):
            Schedule(steps)


def test_an_id_that_comes_again_is_awaited_again() -> None:
    given = order(workload="duplicates", steps=[Step(1000, 1)])
    ids = [orjson.loads(record.value)["id"] for record in given.records()]
    awaited = Awaited(given)
    awaited.prepare(10)
    assert len(set(ids)) < len(ids)

    taken = [awaited.take(event_id) for event_id in ids]

    assert taken == list(range(1000))
    assert awaited.take(ids[0]) is None
    assert awaited.left(1000) == 0


def test_what_was_not_seen_is_counted_as_left() -> None:
    awaited = Awaited(order(steps=[Step(1000, 1)], sample_every=3))
    awaited.prepare(0.0999)

    assert awaited.left(1000) == 34
    assert awaited.left(30) == 10


@asynccontextmanager
async def receiver(
    kafka: str, payments: str, outcomes: str, stall_at: int, stall_s: float
) -> AsyncIterator[None]:
    """What stands in for the ledger: an outcome for each event, with one pause."""
    consumer = AIOKafkaConsumer(payments, bootstrap_servers=kafka, auto_offset_reset="earliest")
    publisher = BatchPublisher(kafka)
    await consumer.start()
    await publisher.start()

    async def receive() -> None:
        handled, paused = 0, False
        while True:
            found = await consumer.getmany(timeout_ms=5)
            records = [record for some in found.values() for record in some]
            if records and handled >= stall_at and not paused:
                paused = True
                await asyncio.sleep(stall_s)
            await publisher.publish(
                [Outgoing(outcomes, record.key, outcome_of(record.value)) for record in records]
            )
            handled += len(records)

    task = asyncio.create_task(receive())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
        await publisher.stop()


def outcome_of(event: bytes) -> bytes:
    data = {"posted_at": datetime.now(UTC).isoformat()}
    return orjson.dumps({"id": orjson.loads(event)["id"], "tenant": "acme", "data": data})


@pytest.fixture
async def topics(kafka: str) -> tuple[str, str]:
    names = (f"paced-in-{uuid4()}", f"paced-out-{uuid4()}")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 2, 1) for name in names])
    finally:
        await admin.close()
    return names


async def flown(kafka: str, topics: Sequence[str], stall_s: float, **changes: object) -> Flown:
    payments, outcomes = topics
    given = order(kafka=kafka, payments_topic=payments, outcomes_topic=outcomes, linger_ms=0.0, **changes)
    async with receiver(kafka, payments, outcomes, 200, stall_s):
        return await flow(given)


def p(flown: Flown, name: str, percentile: float) -> float:
    return decoded(flown.observed.latencies[name]).ms(percentile)


async def test_a_receiver_that_stalls_is_seen_by_all_that_was_due_meanwhile(
    kafka: str, topics: tuple[str, str]
) -> None:
    found = await flown(kafka, topics, STALL_S)

    assert found.faults() == []
    assert (found.sent.sent, found.observed.seen) == (600, 600)
    # 140 of 600 were due in the pause, and wait for half of it on the mean. A sender that waits for answers, or
    # latencies that count from the sending, would show one or none of them.
    assert p(found, COMMITTED, 99) > 0.85 * STALL_S * 1000
    assert p(found, OUTCOME, 90) > 0.4 * STALL_S * 1000
    assert max(point.value for point in found.lag()) > 0.6 * STALL_S * RATE


async def test_a_sender_that_was_held_up_does_not_hide_it(
    kafka: str, topics: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[asyncio.Task[None]] = []

    async def hold(process: asyncio.subprocess.Process) -> None:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(STALL_S)
        process.send_signal(signal.SIGCONT)

    def watch(flowing: "list[asyncio.subprocess.Process]", seen: Seen) -> bool:
        if seen.at_s > 1 and not held:
            held.append(asyncio.create_task(hold(flowing[0])))
        return False

    senders: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def starting(*command: str, **options: object) -> asyncio.subprocess.Process:
        process = await start(*command, **options)  # type: ignore[arg-type]
        if command[-1].endswith("sender"):
            senders.append(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", starting)
    payments, outcomes = topics
    given = order(kafka=kafka, payments_topic=payments, outcomes_topic=outcomes, linger_ms=0.0)
    async with receiver(kafka, payments, outcomes, 10**9, 0):
        found = await flow(given, watch=partial(watch, senders))

    assert found.faults() == []
    assert found.sent.sent == 600
    assert decoded(found.sent.late).ms(99) > 0.85 * STALL_S * 1000
    assert p(found, COMMITTED, 99) > 0.85 * STALL_S * 1000


async def test_a_flow_ends_when_its_watcher_has_seen_enough(kafka: str, topics: tuple[str, str]) -> None:
    payments, outcomes = topics
    given = order(
        kafka=kafka, payments_topic=payments, outcomes_topic=outcomes, steps=[Step(RATE, 1), Step(RATE, 60)]
    )
    begun = time.monotonic()
    async with receiver(kafka, payments, outcomes, 10**9, 0):
        found = await flow(given, watch=lambda seen: seen.at_s > 1.5)

    assert time.monotonic() - begun < 30
    assert 200 < found.sent.sent < 3000
    assert found.observed.seen == found.sent.sent
    assert found.observed.missing == 0
    assert [decoded(step[COMMITTED]).count for step in found.observed.by_step] == [200, found.sent.sent - 200]


async def test_outcomes_that_never_come_are_a_fault(
    kafka: str, topics: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtests.bench.flow.PATIENCE_S", 0.5)
    payments, outcomes = topics

    found = await flow(
        order(kafka=kafka, payments_topic=payments, outcomes_topic=outcomes, steps=[Step(50, 1)])
    )

    assert found.observed.missing == 50
    assert found.faults() == ["50 outcomes were not seen within 0 s"]


def held(*steps: tuple[float, float, float]) -> list[Held]:
    return [Held(*step) for step in steps]


def test_the_knee_is_the_last_rate_before_lag_grows() -> None:
    found = knee(held((100, 100, 5), (200, 201, 9), (300, 250, 200), (400, 252, 900)))

    assert (found.rate, found.reached) == (200, True)


def test_one_pause_is_no_knee() -> None:
    found = knee(held((100, 100, 5), (200, 150, 300), (300, 300, 20), (400, 399, 30)))

    assert (found.rate, found.reached) == (400, False)


def test_a_knee_at_the_very_last_step_counts() -> None:
    assert knee(held((100, 100, 5), (200, 150, 300))).rate == 100


def test_if_nothing_is_held_the_knee_is_what_was_handled() -> None:
    found = knee(held((100, 60, 200), (200, 61, 900)))

    assert (found.rate, found.reached) == (60, True)


def test_lag_that_is_long_but_stands_still_does_not_grow() -> None:
    assert not Held(1000, 1000, 900).grows
    assert not Held(1000, 900, 100).grows
    assert Held(1000, 900, 400).grows


def curve(schedule: Schedule, capacity: float) -> list[Seen]:
    """How far a ledger is that handles so many a second at most."""
    seen, found = 0.0, []
    for tick in range(int(schedule.seconds * 4) + 8):
        at_s = tick / 4
        seen = min(schedule.due_by(at_s), seen + capacity / 4)
        found.append(Seen(at_s, int(seen), 0))
    return found


def test_a_ramp_stops_after_the_knee_and_finds_it() -> None:
    schedule = Schedule(ramp_steps(1000))
    watcher = Watcher(schedule)
    stopped = next(seen.at_s for seen in curve(schedule, 870) if watcher(seen))

    assert 850 <= knee(watcher.held).rate <= 900
    assert knee(watcher.held).reached
    assert stopped < schedule.seconds / 1.3


def test_a_step_that_is_held_is_judged_as_such() -> None:
    schedule = Schedule([Step(100, 4), Step(500, 4)])

    easy, hard = judge(schedule, 0, curve(schedule, 300)), judge(schedule, 1, curve(schedule, 300))

    assert easy is not None
    assert hard is not None
    assert (easy.grows, hard.grows) == (False, True)
    assert hard.handled == pytest.approx(300, rel=0.02)
    assert judge(schedule, 1, []) is None


@asynccontextmanager
async def served(path: str, handler: Callable[[web.Request], object]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get(path, handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_window_is_seen_when_it_has_the_version() -> None:
    begun = time.time()

    async def balance(request: web.Request) -> web.Response:
        version = 7 if time.time() - begun < 0.3 else 8
        life = ["credit", 1, 0, 0, version, 0, 0, 0, 0, 0, []]
        return web.json_response({"of": dict(request.query), "life": life, "fresh_at_us": 0})

    async with served(BALANCE_PATH, balance) as url:
        prober = WindowsProber([url], "token", since_s=0.05)
        prober.look(Probe(0.0, "acme", "skipped", "USD/2", 8), begun)
        prober.look(Probe(0.1, "acme", "a", "USD/2", 8), begun)
        await prober.close()

    found = prober.latencies.percentiles()
    assert found.count == 1
    assert 200 <= found.p50_ms < 1000
    assert prober.missing == 0


async def called(url: str, rate: float) -> Answered:
    reads = Reads("strong", 10, "USD/2")
    return await Caller(Calls(url, "key", reads, seconds=2.0, connections=2, rate=rate)).run()


async def test_an_answer_that_stalls_is_seen_by_requests_that_were_due_meanwhile() -> None:
    stalled: list[float] = []

    async def balance(request: web.Request) -> web.Response:
        if len(stalled) < 2:
            stalled.append(0.5)
            await asyncio.sleep(0.5)
        return web.json_response({"authorized": request.headers["Authorization"]})

    async with served("/v1/accounts/{account}/balance", balance) as url:
        by_schedule = await called(url, rate=100)
        stalled.clear()
        as_answered = await called(url, rate=0)

    assert (by_schedule.sent, by_schedule.statuses) == (200, {200: 200})
    assert decoded(by_schedule.latencies).ms(90) > 200
    # Each connection that only goes on when it is answered saw the pause once: hidden among all the others.
    assert decoded(as_answered.latencies).ms(90) < 100
    assert as_answered.sent == sum(as_answered.statuses.values()) > 200


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{", None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
    ],
)
def test_an_answer_is_taken_when_it_is_whole(received: bytes, status: int | None) -> None:
    assert answered(received) == status
