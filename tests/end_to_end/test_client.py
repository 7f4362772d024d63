"""Both clients on a real stack: what one sends and waits for, the other reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from ledger.client import (
    HttpClient,
    KafkaClient,
    NewEvent,
    NotAnsweredError,
    RejectedError,
    UnavailableError,
    capture,
    hold,
    reversal,
    transfer,
    void,
)
from ledger.contract.outgoing import CONTENT_TYPE
from tests.end_to_end.books import Books
from tests.end_to_end.serving_api import ServedApi

NAME = "client"
Client = KafkaClient | HttpClient


def over_kafka(books: Books, bootstrap: str = "", deadline_s: float = 30.0) -> KafkaClient:
    settings = books.settings
    return KafkaClient(
        bootstrap or str(settings.kafka_bootstrap),
        "acme",
        deadline_s=deadline_s,
        payments_topic=settings.payments_topic,
        outcomes_topic=settings.outcomes_topic,
    )


@pytest.fixture(scope="module")
async def reader(api: ServedApi) -> AsyncIterator[HttpClient]:
    async with HttpClient(api.url, str(await api.key("write")), tenant="acme") as client:
        yield client


@pytest.fixture(params=["kafka", "http"])
async def client(request: pytest.FixtureRequest, books: Books, reader: HttpClient) -> AsyncIterator[Client]:
    if request.param == "http":
        yield reader
        return
    async with over_kafka(books) as client:
        yield client


def funding(account: str, amount: int) -> NewEvent:
    return transfer("external:bank", account, amount, "USD/2")


async def test_money_is_held_captured_and_taken_back(client: Client, reader: HttpClient) -> None:
    name = f"life:{type(client).__name__}"
    placed = hold(name, "shop", 400, "USD/2")
    spent = transfer(name, "shop", 300, "USD/2", correlation_id="order-17")
    await client.post(funding(name, 1000))
    found = await client.post_all(
        [spent, placed, capture(placed, 100, final=False), void(placed), reversal(spent, 50)]
    )
    assert [each.status for each in found] == ["posted"] * 5
    balance = await reader.balance(name, "USD/2")
    assert (balance.held, balance.consistency) == (0, "strong")
    assert (await reader.hold(placed.id)).state == "voided"
    lines = [line async for line in reader.statement(name, "USD/2")]
    assert sum(line.amount for line in lines) == balance.balance
    assert lines[-1].version == 1


async def test_a_refusal_is_raised_with_its_reason(client: Client) -> None:
    with pytest.raises(RejectedError) as found:
        await client.post(transfer("nobody:at:all", "shop", 1, "USD/2"))
    assert found.value.reason == "insufficient_funds"


async def test_sending_again_is_safe_and_answered(client: Client, reader: HttpClient) -> None:
    name = f"again:{type(client).__name__}"
    event = funding(name, 70)
    await client.send(event, event)
    first, second = [await client.post(event) for _ in range(2)]
    assert first.transaction == second.transaction == event.id
    assert (await reader.balance(name, "USD/2")).balance == 70


async def test_one_id_with_two_contents_is_never_answered_with_the_other(client: Client) -> None:
    event = funding(f"reused:{type(client).__name__}", 1)
    await client.post(event)
    with pytest.raises(RejectedError) as found:
        await client.post(transfer("external:bank", "thief", 99, "USD/2", id=event.id))
    assert found.value.reason == "event_id_reused"


async def test_many_are_sent_in_batches_and_all_are_answered(client: Client) -> None:
    events = [funding(f"crowd:{number}", 1) for number in range(2_300)]
    found = await client.post_all(events)
    assert [each.event_id for each in found] == [event.id for event in events]


async def test_what_is_sent_looks_as_the_contract_says(books: Books) -> None:
    event = funding("looks", 5)
    async with over_kafka(books) as client:
        await client.post(event)
    records = [
        each for each in await books.records(books.settings.payments_topic) if event.id in str(each.value)
    ]
    assert [(each.key, CONTENT_TYPE in each.headers) for each in records] == [(b"acme/external:bank", True)]


async def test_a_balance_is_followed_as_it_changes(reader: HttpClient) -> None:
    await reader.post(funding("watched", 5))
    async with asyncio.timeout(20), aclosing(reader.watch("watched", "USD/2")) as balances:
        assert (await anext(balances)).balance == 5
        await reader.post(funding("watched", 7))
        assert (await anext(balances)).balance == 12


async def test_each_consistency_tells_its_age(reader: HttpClient) -> None:
    await reader.post(funding("aged", 5))
    found = await reader.balance("aged", "USD/2", consistency="cached")
    assert (found.balance, found.consistency, found.age_ms >= 0) == (5, "cached", True)
    assert all(total.difference == 0 for total in await reader.trial_balance())
    assert [each.account async for each in reader.accounts("aged")] == ["aged"]


async def test_nothing_is_waited_for_where_kafka_is_away(books: Books) -> None:
    async with over_kafka(books, "127.0.0.1:1", deadline_s=0.5) as client:
        with pytest.raises(UnavailableError):
            await client.send(funding("away", 1))
        with pytest.raises(UnavailableError, match="nothing was sent"):
            await client.post(funding("away", 1))


async def test_what_no_worker_handles_is_not_answered(books: Books, kafka: str) -> None:
    topic = books.settings.webhooks_topic  # nobody posts from it
    async with KafkaClient(
        kafka, "acme", payments_topic=topic, outcomes_topic=books.settings.outcomes_topic
    ) as client:
        event = funding("unheard", 1)
        with pytest.raises(NotAnsweredError) as found:
            await client.post(event, wait_s=0.3)
    assert found.value.pending == [event.id]
