"""Events over HTTP, all the way: Kafka, a posting worker, the feed of outcomes, streams, cached balances."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ledger.adapters.system import new_event_id
from tests.end_to_end.books import Books, event, id_of, transfer
from tests.end_to_end.serving_api import ServedApi, fuzzing_finds_nothing, served

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
NAME = "api_events"


@pytest.fixture
async def client(api: ServedApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=api.url,
        headers={"Authorization": f"Bearer {await api.key('write')}", "Content-Type": ONE},
        timeout=40,
    ) as client:
        yield client


async def post(client: httpx.AsyncClient, content: bytes, kind: str = ONE, wait: int = 20) -> httpx.Response:
    headers = {"Content-Type": kind, "Prefer": f"wait={wait}"}
    return await client.post("/v1/events", content=content, headers=headers)


async def test_who_waits_hears_the_outcome_and_a_repetition_the_same_transaction(
    client: httpx.AsyncClient,
) -> None:
    value = transfer("external:bank", "ann", 500)
    answers = [await post(client, value) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    outcomes = [each.json()["outcomes"][0] for each in answers]
    assert [each["status"] for each in outcomes] == ["posted", "duplicate"]
    assert {each["transaction"] for each in outcomes} == {id_of(value)}
    assert (await client.get(answers[0].headers["location"])).json() == outcomes[0]


async def test_a_batch_is_answered_in_its_order(client: httpx.AsyncClient) -> None:
    hold = event("hold.place.v1", {"debit": "bob", "credit": "shop", "amount": 30, "asset": "USD/2"})
    # First and by itself: order is kept for the account that is spent, not between accounts.
    await post(client, transfer("external:bank", "bob", 100))
    values = [
        hold,
        event("hold.capture.v1", {"hold": id_of(hold)}),
        transfer("bob", "shop", 999),
        *(transfer("external:bank", f"crowd:{number}", 1) for number in range(300)),
    ]
    answer = await post(client, b"[" + b",".join(values) + b"]", BATCH)
    outcomes = answer.json()["outcomes"]
    assert [each["event_id"] for each in outcomes] == [id_of(value) for value in values]
    assert [each["status"] for each in outcomes[:3]] == ["posted", "posted", "rejected"]
    assert {each["status"] for each in outcomes[3:]} == {"posted"}


async def test_a_cached_balance_is_forgotten_when_an_outcome_changes_it(client: httpx.AsyncClient) -> None:
    path = "/v1/accounts/cat/balance?asset=USD/2&consistency=cached"
    await post(client, transfer("external:bank", "cat", 1))
    seen = [(await client.get(path)).json() for _ in range(3)]
    assert {each["balance"] for each in seen} == {1}
    assert seen[-1]["source"] == "cache"
    await post(client, transfer("external:bank", "cat", 2))
    # Well before the time to live of 5 seconds is over.
    async with asyncio.timeout(2):
        while (await client.get(path)).json()["balance"] != 3:  # noqa: ASYNC110  # over HTTP
            await asyncio.sleep(0.02)


async def test_a_stream_pushes_what_a_worker_posts(client: httpx.AsyncClient) -> None:
    await post(client, transfer("external:bank", "dora", 10))
    async with asyncio.timeout(20), client.stream("GET", "/v1/accounts/dora/stream") as stream:
        lines = stream.aiter_lines()
        data = [json.loads(line[6:]) async for line in _first(lines, 1)]
        assert data[0]["balances"][0]["balance"] == 10
        hold = event("hold.place.v1", {"debit": "dora", "credit": "shop", "amount": 4, "asset": "USD/2"})
        await post(client, hold)
        held = [json.loads(line[6:]) async for line in _first(lines, 1)]
        assert (held[0]["held"], held[0]["available"], held[0]["version"]) == (4, 6, 1)
        await post(client, event("hold.capture.v1", {"hold": id_of(hold)}))
        captured = [json.loads(line[6:]) async for line in _first(lines, 1)]
        assert (captured[0]["balance"], captured[0]["held"], captured[0]["version"]) == (6, 0, 2)


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    while count:
        line = await anext(lines)
        if line.startswith("data: "):
            count -= 1
            yield line


async def test_another_tenants_outcomes_are_not_heard(api: ServedApi, client: httpx.AsyncClient) -> None:
    """Two tenants use one id at the same time; each hears of its own event."""
    same = new_event_id()
    data = {"debit": "external:bank", "credit": "eve", "amount": 1, "asset": "USD/2"}
    async with api.client(await api.key("write", tenant="rival")) as rival:
        answers = await asyncio.gather(
            post(client, event("transfer.post.v1", data, same)),
            post(rival, event("transfer.post.v1", {**data, "amount": 2}, same, "rival")),
        )
    amounts = [each.json()["outcomes"][0]["entries"][1]["amount"] for each in answers]
    assert amounts == [1, 2]


async def test_while_kafka_is_away_events_are_refused_and_balances_read(api: ServedApi, books: Books) -> None:
    key = await api.key("write")
    async with served(api.dsn, NAME) as cut_off, cut_off.client(key) as client:
        before = await books.handled()
        answer = await post(client, transfer("external:bank", "ann", 1))
        assert (answer.status_code, answer.json()["code"]) == (503, "kafka_away")
        assert int(answer.headers["retry-after"]) > 0
        for consistency in ("strong", "cached"):
            path = f"/v1/accounts/ann/balance?asset=USD/2&consistency={consistency}"
            assert (await client.get(path)).json()["balance"] == 500
        assert await books.handled() == before


async def test_fuzzing_what_is_sent_finds_nothing(api: ServedApi, tmp_path: Path) -> None:
    only = ("--include-method", "POST", "--phases", "examples,coverage,fuzzing")
    await fuzzing_finds_nothing(api, "admin", tmp_path, 20, *only)
