"""Submitting over HTTP: what is accepted, what is refused and how, and waiting for outcomes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ledger.api.app import create_app
from ledger.api.quotas import Quotas
from ledger.config import Settings
from tests.api.flow import Flow
from tests.api.world import World, client_of
from tests.builders import TRANSFER, body, encoded, event_id

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


@pytest.fixture
def flow(world: World) -> Flow:
    return Flow(world)


@pytest.fixture
async def writer(world: World, flow: Flow) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(flow.services()), await world.key("write")) as client:
        yield client


async def post(client: httpx.AsyncClient, content: Any, kind: str = ONE, **headers: str) -> httpx.Response:
    content = content if isinstance(content, bytes) else encoded(content)
    return await client.post("/v1/events", content=content, headers={"Content-Type": kind, **headers})


async def test_an_event_is_accepted_and_can_be_asked_for(writer: httpx.AsyncClient) -> None:
    answer = await post(writer, body(tenant=None))
    assert (answer.status_code, answer.json()) == (
        202,
        {"ids": [event_id()], "outcomes": [], "pending": [event_id()]},
    )
    found = await writer.get(answer.headers["location"])
    assert found.json()["status"] == "posted"


async def test_who_waits_is_answered_with_the_outcome(writer: httpx.AsyncClient) -> None:
    answer = await post(writer, body(), Prefer="respond-async, wait=5")
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=5")
    [outcome] = answer.json()["outcomes"]
    asked = await writer.get(f"/v1/events/{event_id()}")
    assert outcome == asked.json()


async def test_sending_again_gives_the_same_transaction(writer: httpx.AsyncClient) -> None:
    answers = [(await post(writer, body(), Prefer="wait=5")).json()["outcomes"][0] for _ in range(2)]
    assert [each["status"] for each in answers] == ["posted", "duplicate"]
    assert answers[0]["transaction"] == answers[1]["transaction"] == event_id()


async def test_outcomes_come_in_the_order_of_the_events(writer: httpx.AsyncClient) -> None:
    poor = body(name="b", data={"debit": "nobody", "credit": "ann", "amount": 1, "asset": "USD/2"})
    hold = body("hold.place.v1", {**TRANSFER, "amount": 1}, name="h")
    answer = await post(writer, [body(name="a"), poor, hold, body(name="a")], BATCH, Prefer="wait=5")
    told = [(each["event_id"], each["status"]) for each in answer.json()["outcomes"]]
    assert told == [
        (event_id("a"), "posted"),
        (event_id("b"), "rejected"),
        (event_id("h"), "posted"),
        (event_id("a"), "posted"),
    ]
    assert answer.json()["pending"] == []


async def test_another_content_under_the_same_id_is_never_taken_for_it(
    writer: httpx.AsyncClient, flow: Flow
) -> None:
    """Two wait for one id; each hears of its own content."""
    flow.log.holds_back = True
    contents = [body(name="x"), body(name="x", data={**TRANSFER, "amount": 2})]
    asking = [asyncio.create_task(post(writer, each, Prefer="wait=5")) for each in contents]
    async with asyncio.timeout(5):
        while len(flow.log.held) < 2:  # noqa: ASYNC110  # two requests
            await asyncio.sleep(0.001)
    await flow.log.post_held()
    outcomes = [(await each).json()["outcomes"][0] for each in asking]
    assert sorted(each["status"] for each in outcomes) == ["posted", "rejected"]
    posted = next(each for each in outcomes if each["status"] == "posted")
    assert {abs(each["amount"]) for each in posted["entries"]} == {
        contents[outcomes.index(posted)]["data"]["amount"]
    }


async def test_what_is_not_done_in_time_is_pending(writer: httpx.AsyncClient, flow: Flow) -> None:
    flow.log.holds_back = True
    answer = await post(writer, body(), Prefer="wait=1")
    assert (answer.status_code, answer.json()["pending"]) == (202, [event_id()])


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=0", "wait=0"),
        ("wait=99", "wait=30"),
        ('WAIT="3"', "wait=3"),
        ("wait=-1", None),
        ("wait=x", None),
    ],
)
async def test_preferences(writer: httpx.AsyncClient, prefer: str, applied: str | None) -> None:
    answer = await post(writer, body(), Prefer=prefer)
    assert answer.headers.get("preference-applied") == applied
    assert answer.is_success


NEITHER = body(name="n", data={})


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", ONE, 400, "malformed_json"),
        (b"", ONE, 400, "malformed_json"),
        (b"\xff\xfe", ONE, 400, "malformed_json"),
        (b'{"a":' * 40_000, ONE, 400, "malformed_json"),
        (b"[" * 100_000, BATCH, 400, "malformed_json"),
        (b"[{}", BATCH, 400, "malformed_json"),
        (b"[]", ONE, 422, "invalid_events"),
        (b"{}", BATCH, 422, "invalid_events"),
        (b"[]", BATCH, 422, "invalid_events"),
        (b"[1]", BATCH, 422, "invalid_events"),
        (json.dumps([{}] * 1001).encode(), BATCH, 422, "invalid_events"),
        (encoded(body(id=None)), ONE, 422, "invalid_events"),
        (encoded(NEITHER), ONE, 422, "invalid_events"),
        (encoded([body(), NEITHER]), BATCH, 422, "invalid_events"),
        (encoded(body(tenant="rival")), ONE, 403, "wrong_tenant"),
        (encoded([body(), body(tenant="rival")]), BATCH, 403, "wrong_tenant"),
        (encoded(body(source="x" * 300_000)), ONE, 413, "body_too_large"),
        (b"x" * 5_000_000, ONE, 413, "body_too_large"),
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"{}", f"{ONE}; charset=latin-1", 415, "unsupported_media_type"),
    ],
)
async def test_what_is_refused_sends_nothing(
    writer: httpx.AsyncClient, flow: Flow, content: bytes, kind: str, status: int, code: str
) -> None:
    flow.log.holds_back = True
    answer = await post(writer, content, kind)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert flow.log.held == []


async def test_a_body_that_is_compressed_is_refused(writer: httpx.AsyncClient) -> None:
    answer = await post(writer, body(), **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_every_fault_is_told_with_its_place(writer: httpx.AsyncClient) -> None:
    answer = await post(writer, [body(), NEITHER, {"a": 1}], BATCH)
    assert [(each["index"], each["reason"]) for each in answer.json()["faults"]] == [
        (1, "invalid_data"),
        (2, "invalid_envelope"),
    ]


@pytest.mark.parametrize(
    ("fault", "status", "code"), [(Flow.AWAY, 503, "kafka_away"), (Flow.REFUSED, 413, "body_too_large")]
)
async def test_faults_of_the_log(
    writer: httpx.AsyncClient, flow: Flow, fault: type[Exception], status: int, code: str
) -> None:
    flow.log.fault = fault
    answer = await post(writer, body(), Prefer="wait=5")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_key_that_only_reads_sends_nothing(world: World, flow: Flow) -> None:
    async with client_of(create_app(flow.services()), await world.key("read")) as reader:
        answer = await post(reader, body())
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


async def test_events_over_the_quota_are_refused_before_they_are_looked_at(world: World, flow: Flow) -> None:
    quotas = Quotas(0, 10, world.signals, lambda: 0.0)
    async with client_of(create_app(flow.services(quotas=quotas)), await world.key("write")) as writer:
        answers = [await post(writer, [body(name=each) for each in range(15)], BATCH) for _ in range(3)]
    assert [each.status_code for each in answers] == [202, 429, 429]
    assert answers[1].json()["code"] == "rate_limited"
    assert answers[1].headers["retry-after"] == "1"


async def test_requests_over_the_quota_are_refused(world: World, flow: Flow) -> None:
    quotas = Quotas(1, 0, world.signals, lambda: 0.0)
    async with client_of(create_app(flow.services(quotas=quotas)), await world.key("read")) as reader:
        answers = [await reader.get("/v1/accounts/ann") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit"] == '"requests";r=1;t=1'


async def test_without_kafka_events_are_not_taken(world: World) -> None:
    async with client_of(create_app(world.services()), await world.key("write")) as writer:
        answer = await post(writer, body())
    assert (answer.status_code, answer.json()["code"]) == (503, "not_available")


async def test_the_bound_of_a_batch_is_a_setting(world: World, flow: Flow) -> None:
    services = flow.services(settings=Settings(api_events_max=2))
    async with client_of(create_app(services), await world.key("write")) as writer:
        answer = await post(writer, [body(name=each) for each in range(3)], BATCH)
    assert answer.json()["detail"] == "A batch has 1 to 2 events, not 3."
