"""Streams of balances: a snapshot, then what changed, once; and an end that leaves nothing behind."""

import asyncio
import json
from typing import Any

import pytest

from ledger.api.routes import live
from ledger.api.routes.live import read_seen, write_seen
from tests.api.flow import Flow, streaming
from tests.api.world import World
from tests.builders import event, transfer

PATH = "/v1/accounts/ann/stream"


@pytest.fixture
def flow(world: World) -> Flow:
    return Flow(world)


def parsed(text: str) -> tuple[str, str, Any]:
    """Give the name, the id and the data of an event."""
    fields = dict(line.split(": ", 1) for line in text.splitlines())
    return fields["event"], fields["id"], json.loads(fields["data"])


async def pay(flow: Flow, name: str, amount: int = 5, **more: Any) -> None:
    flow.log.held.append(transfer("external:bank", "ann", amount, name=name, **more))
    await flow.log.post_held()


async def test_first_a_snapshot_and_then_each_change(flow: Flow) -> None:
    async with streaming(flow, flow.services(), PATH) as stream:
        begun = await stream.next()
        assert (begun["status"], dict(begun["headers"])[b"content-type"]) == (200, b"text/event-stream")
        name, told, snapshot = parsed(await stream.event())
        assert (name, [each["asset"] for each in snapshot["balances"]]) == ("snapshot", ["JPY/0", "USD/2"])
        assert told == "JPY/0:1.0,USD/2:4.30"
        await pay(flow, "p1")
        name, told, balance = parsed(await stream.event())
        assert (name, told, balance["asset"], balance["version"]) == (
            "balance",
            "JPY/0:1.0,USD/2:5.30",
            "USD/2",
            5,
        )


async def test_a_hold_changes_what_is_available(flow: Flow) -> None:
    async with streaming(flow, flow.services(), PATH + "?asset=USD/2") as stream:
        await stream.next()
        _, _, snapshot = parsed(await stream.event())
        data = {"debit": "ann", "credit": "shop", "amount": 7, "asset": "USD/2"}
        hold = event("hold.place.v1", data, name="h9")
        flow.log.held.append(hold)
        await flow.log.post_held()
        # No key told the feed whose hold it is: the next reading does, as every heartbeat asks for one.
        flow.feed.missed()
        _, _, balance = parsed(await stream.event())
        before = snapshot["balances"][0]
        assert (balance["held"], balance["available"]) == (before["held"] + 7, before["available"] - 7)


async def test_many_changes_at_once_come_as_one(flow: Flow) -> None:
    services = flow.services()
    async with streaming(flow, services, PATH) as stream:
        await stream.next()
        await stream.event()
        flow.log.held += [transfer("external:bank", "ann", 5, name=f"n{number}") for number in range(50)]
        await flow.log.post_held()
        versions: list[int] = []
        while not versions or versions[-1] < 54:
            versions.append(parsed(await stream.event())[2]["version"])
        assert len(versions) <= 5
        assert services.live is not None
        assert services.live.readings < 10


async def test_who_comes_back_is_told_only_what_has_changed(flow: Flow) -> None:
    await pay(flow, "p1")
    async with streaming(flow, flow.services(), PATH, last_id="JPY/0:1.0,USD/2:4.30") as stream:
        await stream.next()
        name, _, balance = parsed(await stream.event())
        assert (name, balance["asset"], balance["version"]) == ("balance", "USD/2", 5)


async def test_watchers_of_one_account_share_its_readings(flow: Flow) -> None:
    services = flow.services()
    async with (
        streaming(flow, services, PATH) as first,
        streaming(flow, services, PATH) as second,
        streaming(flow, services, PATH) as third,
    ):
        streams = (first, second, third)
        for stream in streams:
            await stream.next()
            await stream.event()
        assert services.live is not None
        before = services.live.readings
        await pay(flow, "p1")
        assert {parsed(await stream.event())[2]["version"] for stream in streams} == {5}
        assert services.live.readings - before <= 2
    assert (services.live.streams, services.live._shared, dict(flow.feed._listeners)) == (0, {}, {})


async def test_an_end_of_the_process_ends_the_stream(flow: Flow) -> None:
    services = flow.services()
    async with streaming(flow, services, PATH) as stream:
        await stream.next()
        await stream.event()
        services.draining.begin()
        assert await stream.next() == {"type": "http.response.body", "body": b"", "more_body": False}
        async with asyncio.timeout(5):
            await stream.task


async def test_a_revoked_key_ends_the_stream(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.02)
    async with streaming(flow, flow.services(), PATH) as stream:
        await stream.next()
        await stream.event()
        for key in await flow.world.keys.find("acme"):
            await flow.world.keys.revoke(key.key_id)
        flow.world.monotonic += 60
        async with asyncio.timeout(5):
            await stream.task


async def test_a_client_that_takes_nothing_is_dropped(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEND_S", 0.05)
    async with streaming(flow, flow.services(), PATH) as stream:
        await stream.next()
        await stream.event()
        stream.takes.clear()
        await pay(flow, "p1")
        async with asyncio.timeout(5):
            await stream.task
    assert "stream.dropped" in flow.world.signals.names()


@pytest.mark.parametrize(
    ("path", "tenant", "status", "code"),
    [
        ("/v1/accounts/nobody/stream", "acme", 404, "account_not_found"),
        (PATH, "rival", 404, "account_not_found"),
        (PATH + "?asset=usd", "acme", 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_followed(flow: Flow, path: str, tenant: str, status: int, code: str) -> None:
    async with streaming(flow, flow.services(), path, tenant=tenant) as stream:
        begun, rest = await stream.next(), await stream.next()
        assert (begun["status"], json.loads(rest["body"])["code"]) == (status, code)
    assert flow.feed._listeners == {}


async def test_streams_are_bounded_for_a_tenant_and_for_all(flow: Flow) -> None:
    services = flow.services()
    await flow.world.live("rival", "d1: transfer external:bank ann 1")
    async with (
        streaming(flow, services, PATH) as first,
        streaming(flow, services, PATH) as second,
        streaming(flow, services, PATH) as third,
    ):
        for stream in (first, second, third):
            await stream.next()
        async with streaming(flow, services, PATH) as fourth:
            assert (await fourth.next())["status"] == 429
        async with streaming(flow, services, PATH, tenant="rival") as others:
            assert (await others.next())["status"] == 200
            async with streaming(flow, services, PATH, tenant="rival") as fifth:
                assert (await fifth.next())["status"] == 503


def test_what_was_seen_is_written_as_it_is_read() -> None:
    seen = {"USD/2": "5.30", "JPY/0": "1.0"}
    assert read_seen(write_seen(seen)) == seen
    assert read_seen("") == read_seen(",,:,x:,:y") == {}
