"""Shedding: places are bounded, given in turn, and never lost; bodies are bounded however they come."""

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from ledger.api.facts import facts_of
from ledger.api.problems import BodyTooLargeError
from ledger.api.shedding import BodyLimit, LoadShedding
from ledger.api.telemetry import ApiMetrics, Telemetry
from ledger.application.places import Places
from tests.fakes import RememberedSignals


class Gate:
    """An application that answers when it is let to."""

    def __init__(self, *, releases: bool = False) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self._releases = releases

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        if self._releases:
            facts_of(scope).release()
        await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api")


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any condition
            await asyncio.sleep(0.001)


async def test_who_has_no_place_hears_so_at_once() -> None:
    gate, places, signals = Gate(), Places(2, 1, wait_s=5.0), RememberedSignals()
    async with client(LoadShedding(gate, places, signals)) as http:
        inside = [asyncio.create_task(http.get("/v1/a")) for _ in range(2)]
        await until(lambda: gate.inside == 2)
        queued = asyncio.create_task(http.get("/v1/a"))
        await until(lambda: places.waiting == 1)
        shed = await http.get("/v1/a")
        assert (shed.status_code, shed.json()["code"], shed.headers["retry-after"]) == (
            503,
            "overloaded",
            "1",
        )
        gate.open.set()
        answers = await asyncio.gather(*inside, queued)
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert (places.in_flight, places.waiting, signals.names()) == (0, 0, ["request.shed"])


async def test_health_needs_no_place() -> None:
    gate = Gate()
    gate.open.set()
    async with client(LoadShedding(gate, Places(0, 0, wait_s=5.0), RememberedSignals())) as http:
        found = [(await http.get(path)).status_code for path in ("/health/live", "/metrics", "/v1/a")]
    assert found == [200, 200, 503]


async def test_who_has_no_place_is_counted_where_the_objective_of_availability_looks() -> None:
    metrics, signals = ApiMetrics(CollectorRegistry()), RememberedSignals()
    async with client(
        Telemetry(LoadShedding(Gate(), Places(0, 0, wait_s=5.0), signals), metrics, signals)
    ) as http:
        await http.get("/v1/a")
    counted = {"method": "GET", "route": "none", "status": "503"}
    assert metrics.registry.get_sample_value("ledger_api_requests_total", counted) == 1


async def test_who_waits_too_long_is_turned_away_and_keeps_no_place() -> None:
    places = Places(1, 5, wait_s=0.01)
    assert [await places.take(), await places.take()] == [True, False]
    places.give_back()
    assert (places.in_flight, places.waiting, await places.take()) == (0, 0, True)


async def test_a_request_that_only_waits_gives_its_place_to_others() -> None:
    gate, places = Gate(releases=True), Places(1, 0, wait_s=5.0)
    async with client(LoadShedding(gate, places, RememberedSignals())) as http:
        asking = [asyncio.create_task(http.get("/v1/a")) for _ in range(5)]
        await until(lambda: gate.inside == 5)
        gate.open.set()
        assert {each.status_code for each in await asyncio.gather(*asking)} == {200}
    assert places.in_flight == 0


async def test_a_place_given_in_the_moment_of_a_cancellation_is_not_lost() -> None:
    places = Places(1, 5, wait_s=5.0)
    await places.take()
    waiting = asyncio.create_task(places.take())
    await until(lambda: places.waiting == 1)
    places.give_back()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (places.in_flight, places.waiting) == (0, 0)


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_bounded_with_and_without_its_length(chunked: bool) -> None:
    async def chunks(size: int) -> Any:
        for _ in range(size // 100):
            yield b"x" * 100

    def content(size: int) -> Any:
        return chunks(size) if chunked else b"x" * size

    async with client(BodyLimit(reads_all, bytes_max=1000)) as http:
        assert (await http.post("/", content=content(1000))).text == "1000"
        with pytest.raises(BodyTooLargeError):
            await http.post("/", content=content(1100))


@pytest.mark.parametrize(
    ("given", "is_kept"), [("order-17", True), ("a b", False), ("x" * 65, False), ('"><script>', False)]
)
async def test_a_request_keeps_its_id_if_it_is_harmless(given: str, is_kept: bool) -> None:
    gate = Gate()
    gate.open.set()
    async with client(Telemetry(gate, None, RememberedSignals())) as http:
        answered = await http.get("/", headers={"X-Request-Id": given})
    assert (answered.headers["x-request-id"] == given) == is_kept
