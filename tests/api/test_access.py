"""Who may ask for what: every route, with every kind of key, made from the routes themselves."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from ledger.adapters.memory.payments import MemoryPayments
from ledger.api.app import create_app
from ledger.application.api_keys import KeyText
from ledger.application.faults import BusyError, OverloadedError, TooSlowError, TransientFaultError
from tests.api.world import World, client_of
from tests.builders import body, encoded, event_id

KEYLESS = {
    "/docs",
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/v1/providers/{provider}/webhooks",
}

# What is there for the tenant acme.
EXISTING = {
    "account": "ann",
    "event": event_id("d1"),
    "transaction": event_id("d1"),
    "hold": event_id("h1"),
    "payment": event_id("p1"),
}
NEEDED = {"asset": "USD/2"}
TAKES_ASSET = ("balance", "windows")


@pytest.fixture
async def world(world: World) -> World:
    """A world that has a payment as well."""
    await MemoryPayments(world.books).put("acme", "bank", {})
    await world.live(script="p1: pay external:bank shop 70 by=bank")
    return world


def routes() -> list[tuple[str, str]]:
    """Give every route that needs a key: its method and path."""
    app = create_app(World().services())
    found = [
        (method, path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if path not in KEYLESS
    ]
    assert len(found) >= 11
    return found


def every_path(app: FastAPI) -> set[str]:
    """Give the paths that the application answers, told or not; routers keep theirs inside."""
    routers = [getattr(each, "original_router", None) for each in app.routes]
    inner = [route for router in routers if router is not None for route in router.routes]
    return {route.path for route in (*app.routes, *inner) if isinstance(route, Route)}


each_route = pytest.mark.parametrize(("method", "path"), routes(), ids=lambda value: str(value))


async def ask(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    given: dict[str, Any] = {}
    if path.endswith(TAKES_ASSET):
        given["params"] = NEEDED
    if method == "post":
        given["content"] = encoded(body())
        given["headers"] = {"content-type": "application/cloudevents+json"}
    given["headers"] = given.get("headers", {}) | more.pop("headers", {})
    return await client.request(method.upper(), path.format(**EXISTING), **given, **more)


async def answer_to(world: World, key: KeyText | str | None, method: str, path: str) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with client_of(create_app(world.services())) as client:
        return await ask(client, method, path, headers=headers)


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["content-type"], answer.json()["code"]


UNAUTHENTICATED = (401, "application/problem+json", "unauthenticated")


@each_route
async def test_nobody_is_let_in_without_a_key(world: World, method: str, path: str) -> None:
    answer = await answer_to(world, None, method, path)
    assert refused(answer) == UNAUTHENTICATED
    assert answer.headers["www-authenticate"].startswith("Bearer")


@each_route
@pytest.mark.parametrize("kind", ["garbage", "unknown", "secret of another", "expired", "revoked"])
async def test_nobody_is_let_in_with_a_key_that_is_none(
    world: World, kind: str, method: str, path: str
) -> None:
    good = await world.key("admin", lasts_s=60)
    presented: Any = good
    if kind == "garbage":
        presented = "lk_é{}\x7f".encode("latin-1").decode("latin-1").encode("ascii", "ignore").decode()
    elif kind == "unknown":
        presented = KeyText("A" * 16, good.secret)
    elif kind == "secret of another":
        presented = KeyText(good.key_id, (await world.key("admin")).secret)
    elif kind == "expired":
        world.clock.move(60)
    else:
        await world.keys.revoke(good.key_id)
    assert refused(await answer_to(world, presented, method, path)) == UNAUTHENTICATED


@each_route
async def test_a_scope_that_is_too_small_is_refused(world: World, method: str, path: str) -> None:
    key = await world.key("read")
    if method == "get":
        wish = world.key_store.kept[key.key_id]
        world.key_store.kept[key.key_id] = type(wish)(**{**_members(wish), "scopes": frozenset()})
    answer = await answer_to(world, key, method, path)
    assert refused(answer) == (403, "application/problem+json", "insufficient_scope")


def _members(key: Any) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__struct_fields__}


@each_route
async def test_what_is_anothers_is_not_there(world: World, method: str, path: str) -> None:
    if "{" not in path:
        return
    answer = await answer_to(world, await world.key("admin", tenant="rival"), method, path)
    assert answer.status_code in (404, 503)
    assert answer.json()["code"].endswith("_not_found" if answer.status_code == 404 else "not_available")


@each_route
async def test_lists_show_nothing_of_another(world: World, method: str, path: str) -> None:
    if "{" in path or method != "get":
        return
    answer = await answer_to(world, await world.key("admin", tenant="rival"), method, path)
    assert answer.json()["items"] == []


@each_route
async def test_a_good_key_is_let_in(world: World, method: str, path: str) -> None:
    answer = await answer_to(world, await world.key("write"), method, path)
    assert answer.status_code not in (401, 403, 404, 405, 422, 500)


def test_every_route_is_told_or_needs_no_key() -> None:
    app = create_app(World().services())
    assert every_path(app) == {path for _, path in routes()} | KEYLESS


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer  ", "lk_x", "", "Bearer a b"])
async def test_an_authorization_that_is_none_is_refused(world: World, header: str) -> None:
    async with client_of(create_app(world.services())) as client:
        answer = await client.get("/v1/accounts", headers={"Authorization": header})
    assert refused(answer) == UNAUTHENTICATED


async def test_two_keys_are_none(world: World) -> None:
    key = f"Bearer {await world.key()}"
    async with client_of(create_app(world.services())) as client:
        answer = await client.get("/v1/accounts", headers=[("Authorization", key), ("Authorization", key)])
    assert refused(answer) == UNAUTHENTICATED


async def test_a_revoked_key_is_refused_within_seconds(world: World) -> None:
    key = await world.key()
    async with client_of(create_app(world.services()), key) as client:
        assert (await client.get("/v1/accounts")).status_code == 200
        await world.keys.revoke(key.key_id)
        world.monotonic += 5
        assert refused(await client.get("/v1/accounts")) == UNAUTHENTICATED


async def test_keys_are_rotated_without_a_gap(world: World) -> None:
    old, new = await world.key(), await world.key()
    app = create_app(world.services())
    await world.keys.revoke(old.key_id)
    async with client_of(app, new) as client:
        assert (await client.get("/v1/accounts")).status_code == 200


async def test_books_that_are_away_are_not_asked_for_a_key_by_every_request(world: World) -> None:
    async with client_of(create_app(world.services()), await world.key()) as client:
        assert (await client.get("/v1/accounts")).status_code == 200
        asked: list[str] = []

        async def away(key_id: str) -> None:
            asked.append(key_id)
            raise TransientFaultError("away")

        world.key_store.presented = away  # type: ignore[method-assign]
        world.monotonic += 10
        for _ in range(5):
            assert (await client.get("/v1/accounts")).status_code == 200
        world.monotonic += 10
        assert (await client.get("/v1/accounts")).status_code == 200
        await world.chain.close()
    assert len(asked) == 2


async def test_a_key_that_was_good_is_trusted_while_the_books_are_away(world: World) -> None:
    key = await world.key()
    async with client_of(create_app(world.services()), key) as client:
        assert (await client.get("/v1/accounts")).status_code == 200

        async def away(key_id: str) -> None:
            raise TransientFaultError("away")

        world.key_store.presented = away  # type: ignore[method-assign]
        world.monotonic += 10
        assert (await client.get("/v1/accounts")).status_code == 200
        world.monotonic += 1000
        assert refused(await client.get("/v1/accounts")) == (503, "application/problem+json", "books_away")


@pytest.mark.parametrize("fault", [OverloadedError("many"), BusyError("no room"), TooSlowError("busy")])
async def test_a_key_that_was_good_is_trusted_for_seconds_while_the_books_are_only_busy(
    world: World, fault: Exception
) -> None:
    async with client_of(create_app(world.services()), await world.key()) as client:
        assert (await client.get("/v1/accounts")).status_code == 200

        async def busy(key_id: str) -> None:
            raise fault

        world.key_store.presented = busy  # type: ignore[method-assign]
        world.monotonic += 29
        assert (await client.get("/v1/accounts")).status_code == 200
        world.monotonic += 4
        assert (await client.get("/v1/accounts")).status_code == 503


async def test_the_last_use_of_a_key_is_written_down_once_a_minute(world: World) -> None:
    key = await world.key()
    async with client_of(create_app(world.services()), key) as client:
        await client.get("/v1/accounts")
        await world.chain.close()
        first = world.key_store.kept[key.key_id].last_used_at
        world.clock.move(30)
        await client.get("/v1/accounts")
        await world.chain.close()
    assert first == world.key_store.kept[key.key_id].last_used_at is not None


async def test_health_needs_no_key(world: World) -> None:
    async with client_of(create_app(world.services())) as client:
        assert (await client.get("/health/live")).json() == {"live": True}
        assert (await client.get("/health/ready")).json() == {"ready": True}


async def test_what_goes_is_not_ready(world: World) -> None:
    services = world.services()
    services.draining.begin()
    async with client_of(create_app(services)) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"ready": False})
