"""Traces end to end: a request, its event and what came of it are one trace, as a collector gets it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import orjson
import pytest

from ledger.adapters.postgres.connection import open_pool
from ledger.application.access import Scope
from ledger.application.api_keys import KeyWish, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.bootstrap.providers import providers_in
from ledger.observability.traceparent import TraceContext, begin
from tests.end_to_end.books import Books, Worker, event, transfer
from tests.otlp import Collector, Seen, collecting
from tests.provider import SECRET, Simulator

NAME = "traces"
WORKERS = ("post-events", "roll-windows", "advance-payments")
RULES = {"answer_s": 2, "outcome_s": 5, "backoff_s": 0.05, "backoff_s_max": 0.1}
ONE = "application/cloudevents+json"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
async def simulator(books: Books, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book.db").start()
    pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
    await providers_in(pool, books.settings).put(
        "acme",
        "simulated",
        {
            "url": simulator.url,
            "secrets": [SECRET.decode()],
            "hosts": ["127.0.0.1"],
            "networks": ["127.0.0.0/8"],
            "plain_http": True,
        },
    )
    await pool.close()
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
async def client(
    books: Books, collector: Collector, simulator: Simulator
) -> AsyncIterator[httpx.AsyncClient]:
    """The API beside a worker of each kind, all of which send what they trace to the collector."""
    books.environment |= {
        "LEDGER_TRACES_ENDPOINT": collector.url,
        "LEDGER_TRACES_SAMPLE_SHARE": "0",
        "LEDGER_PAYMENT_RULES": orjson.dumps(RULES).decode(),
        "LEDGER_API_PORT": "0",
    }
    async with AsyncExitStack() as stack:
        for name in WORKERS:
            await stack.enter_async_context(books.worker(arguments=("worker", name)))
        api = await stack.enter_async_context(books.worker(arguments=("api",)))
        headers = {"Authorization": f"Bearer {await key(books)}", "Content-Type": ONE, "Prefer": "wait=20"}
        url = f"http://127.0.0.1:{await port_of(api)}"
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=headers, timeout=40))


async def key(books: Books) -> str:
    dsn, secret = str(books.settings.postgres_dsn), str(books.settings.key_secret)
    async with api_keys(books.settings, dsn, key_secret=secret) as keys:
        scopes: tuple[Scope, ...] = ("write",)
        return str((await keys.create(KeyWish("acme", "tests", scopes_of(scopes)), "tests"))[0])


async def port_of(api: Worker) -> int:
    async with asyncio.timeout(40):
        while not api.port:
            assert api.process.poll() is None, api.log
            await asyncio.sleep(0.1)
    return api.port


async def send(client: httpx.AsyncClient, value: bytes, trace: TraceContext) -> httpx.Response:
    headers = {"traceparent": trace.text, "X-Request-Id": "order-17"}
    return await client.post("/v1/events", content=value, headers=headers)


async def spans(collector: Collector, trace: TraceContext, *names: str) -> dict[str, list[Seen]]:
    """Wait until a trace has spans of these names; gives all of it, by name."""

    def have() -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for each in collector.trace(trace.trace_id):
            found.setdefault(each.name, []).append(each)
        return found

    await asyncio.to_thread(collector.until, lambda: have().keys() >= set(names))
    return have()


POST = "POST /v1/events"
KAFKA = f"{NAME}.payments in Kafka"


async def test_one_trace_shows_request_kafka_batch_entries_and_window(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    trace = begin(is_sampled=True)
    answer = await send(client, transfer("external:bank", "ann", 500), trace)
    assert answer.status_code == 200
    posted = "post transfer.post.v1"
    found = await spans(collector, trace, POST, KAFKA, posted, "publish entries", "merge into windows")
    [request], [post], [kafka], [published] = (
        found[name] for name in (POST, posted, KAFKA, "publish entries")
    )
    assert (request.parent_id, request.service) == (trace.span_id, "ledger-api")
    assert {each.parent_id for each in (post, kafka, *found["merge into windows"])} == {request.span_id}
    assert published.parent_id == post.span_id
    assert {each.attributes.get("ledger.correlation_id") for each in (request, post)} == {"order-17"}
    assert request.begun_ns <= kafka.begun_ns <= post.begun_ns <= published.begun_ns
    batches = [each for each in collector.spans if each.name == "batch" and trace.trace_id in each.links]
    assert [each.trace_id for each in batches] == post.links


async def test_one_trace_shows_a_payment_with_two_retries(
    client: httpx.AsyncClient, collector: Collector, simulator: Simulator
) -> None:
    await simulator.follow({"do": "unavailable", "times": 2, "retry_after_s": 0})
    await send(client, transfer("external:bank", "bob", 1000), begin(is_sampled=False))
    trace = begin(is_sampled=True)
    data = {"debit": "bob", "credit": "shop", "amount": 250, "asset": "USD/2", "provider": "simulated"}
    answer = await send(client, event("payment.request.v1", data), trace)
    assert answer.status_code == 200
    found = await spans(collector, trace, POST, "post hold.capture.v1", "payment capture_posted")
    [request] = found[POST]
    calls = found["charge simulated"]
    told = [(each.attributes["ledger.retries"], each.attributes["ledger.answer"]) for each in calls]
    assert told == [(0, "retry_later"), (1, "retry_later"), (2, "accepted")]
    assert [each.is_error for each in calls] == [True, True, False]
    assert {each.parent_id for name in found if name.startswith("payment ") for each in found[name]} == {
        request.span_id
    }


async def test_a_trace_that_is_not_kept_costs_no_span(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    kept, dropped = begin(is_sampled=True), begin(is_sampled=False)
    await send(client, transfer("external:bank", "cid", 1), dropped)
    await send(client, transfer("external:bank", "cid", 2), kept)
    await spans(collector, kept, POST, "post transfer.post.v1")
    assert collector.trace(dropped.trace_id) == []
