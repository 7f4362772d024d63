"""Sessions of the console: how long they last, and what ends them before."""

import asyncio
import secrets
from datetime import timedelta

import pytest

from ledger.api.services import Services
from ledger.api.sessions import COOKIE, Sessions
from ledger.application.api_keys import ApiKey, Randomness
from ledger.application.faults import TransientFaultError
from ledger.application.key_chain import KeyChain
from tests.api.console_world import ConsoleWorld, browser_of, forget_keys, sign_in, token_in, visiting
from tests.api.world import KEY_SECRET
from tests.builders import NOW


@pytest.fixture
async def world() -> ConsoleWorld:
    return ConsoleWorld()


async def test_a_session_ends_by_itself_and_lasts_while_it_is_used(world: ConsoleWorld) -> None:
    async with visiting(world) as client:
        for _ in range(3):
            world.clock.move(2400)
            assert (await client.get("/console")).status_code == 200
        world.clock.move(3601)
        assert (await client.get("/console")).status_code == 303


async def test_a_session_ends_however_much_it_is_used(world: ConsoleWorld) -> None:
    async with visiting(world) as client:
        statuses = []
        for _ in range(13):
            world.clock.move(3300)
            statuses.append((await client.get("/console")).status_code)
        world.clock.move(12 * 3600 - 13 * 3300)
        statuses.append((await client.get("/console")).status_code)
    assert statuses == [200] * 13 + [303]


async def test_a_browser_keeps_a_session_no_longer_than_it_counts(world: ConsoleWorld) -> None:
    async with browser_of(world.services()) as client:
        answer = await sign_in(client, await world.key(lasts_s=600))
    assert "Max-Age=600;" in answer.headers["set-cookie"]


async def test_a_session_that_is_only_believed_ends_with_its_key(world: ConsoleWorld) -> None:
    async with browser_of(world.services()) as client:
        await sign_in(client, await world.key(lasts_s=600))
        forget_keys(world, TransientFaultError("away"))
        cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        client.cookies.clear()
        world.clock.move(599)
        assert (await client.get("/console", headers=cookie)).status_code == 200
        world.clock.move(1)
        assert (await client.get("/console", headers=cookie)).status_code == 303


async def test_signing_out_ends_it(world: ConsoleWorld) -> None:
    async with visiting(world) as client:
        page = await client.get("/console")
        await client.post("/console/sign-out", data={"token": token_in(page.text)})
        assert (await client.get("/console")).status_code == 303


def other_process(world: ConsoleWorld, randomness: Randomness = bytes) -> Services:
    """Give another process of the API over the same books."""
    chain = KeyChain(
        world.key_store, world.clock, world.signals, KEY_SECRET, monotonic=lambda: world.monotonic
    )
    sessions = Sessions(KEY_SECRET, randomness, lasts_s=3600, ends_s=3600)
    return world.services(keys=chain, console=world.console(sessions=sessions))


async def test_a_copied_cookie_is_worth_nothing_once_its_session_is_signed_out_of(
    world: ConsoleWorld,
) -> None:
    key = await world.key()
    async with (
        browser_of(world.services()) as client,
        browser_of(other_process(world)) as thief,
        browser_of(other_process(world, secrets.token_bytes)) as colleague,
    ):
        await sign_in(client, key)
        await sign_in(colleague, key)
        stolen = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        assert (await thief.get("/console", headers=stolen)).status_code == 200
        page = await client.get("/console")
        await client.post("/console/sign-out", data={"token": token_in(page.text)})
        assert (await client.get("/console", headers=stolen)).status_code == 303
        world.monotonic += 3
        assert (await thief.get("/console", headers=stolen)).status_code == 303
        assert (await colleague.get("/console")).status_code == 200


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_key_that_was_read_before_a_session_ended_does_not_bring_the_session_back(
    world: ConsoleWorld, is_known: bool
) -> None:
    key, has_read, goes_on = await world.key(), asyncio.Event(), asyncio.Event()
    read = world.key_store.presented

    async def slow(key_id: str) -> ApiKey | None:
        found = await read(key_id)
        has_read.set()
        await goes_on.wait()
        return found

    if is_known:
        assert await world.chain.holder_of(key.key_id, "mark") is not None
    world.key_store.presented = slow  # type: ignore[method-assign]
    world.monotonic += 5
    asking = asyncio.create_task(world.chain.holder_of(key.key_id, "mark"))
    await has_read.wait()
    await world.chain.end_session(key.key_id, "mark")
    goes_on.set()
    assert await asking is None
    assert await world.chain.holder_of(key.key_id, "mark") is None
    assert await world.chain.holder_of(key.key_id, "another") is not None
    await world.chain.close()


async def test_who_signs_out_while_the_books_are_away_hears_that_the_session_has_not_ended(
    world: ConsoleWorld,
) -> None:
    async def away(key_id: str, mark: str) -> None:
        raise TransientFaultError("away")

    async with visiting(world) as client:
        page = await client.get("/console")
        world.key_store.end_session = away  # type: ignore[method-assign]
        answer = await client.post("/console/sign-out", data={"token": token_in(page.text)})
        assert (answer.status_code, "this browser has forgotten" in answer.text) == (503, True)
        assert (await client.get("/console")).status_code == 303


def test_a_session_is_read_until_its_end() -> None:
    sessions = Sessions(KEY_SECRET, bytes, lasts_s=60, ends_s=600)
    text = sessions.write(sessions.begin(NOW))
    assert sessions.read(text, NOW + timedelta(seconds=59)) is not None
    assert sessions.read(text, NOW + timedelta(seconds=60)) is None
    assert sessions.read(text[:-1], NOW) is None


async def test_a_revoked_key_ends_its_session(world: ConsoleWorld) -> None:
    key = await world.key("read")
    async with browser_of(world.services()) as client:
        await sign_in(client, key)
        assert (await client.get("/console")).status_code == 200
        await world.keys.revoke(key.key_id)
        world.monotonic += 5
        assert (await client.get("/console")).status_code == 303
