"""The API over real HTTP on real books: keys, reads, faults, draining, and what fuzzing finds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.serving_api import ServedApi, fuzzing_finds_nothing, life, served

BALANCE = "/v1/accounts/customer:ann/balance?asset=USD/2"


@pytest.fixture(scope="module")
async def api(postgres_dsn: str) -> AsyncIterator[ServedApi]:
    async with served(postgres_dsn) as api:
        await api.post(*life())
        yield api


async def test_a_balance_is_read_with_a_key_of_the_command_line(api: ServedApi) -> None:
    async with api.client(await api.key("read")) as client:
        found = (await client.get(BALANCE)).json()
    assert (found["balance"], found["held"], found["version"]) == (8800, 300, 4)


async def test_another_tenant_sees_nothing_of_it(api: ServedApi) -> None:
    async with api.client(await api.key("admin", tenant="rival")) as client:
        assert (await client.get(BALANCE)).status_code == 404
        assert (await client.get("/v1/accounts")).json()["items"] == []
        assert (await client.get("/v1/trial-balance")).json()["items"] == []


async def test_many_tenants_at_once_each_see_their_own(api: ServedApi) -> None:
    tenants = [f"crowd-{number}" for number in range(6)]
    for number, tenant in enumerate(tenants):
        await api.post(*life(tenant)[: 2 + number % 2])
    keys = [await api.key("read", tenant=tenant) for tenant in tenants]
    wanted = [10_000 if number % 2 == 0 else 8750 for number in range(6)]

    async def read(number: int) -> int:
        async with api.client(keys[number]) as client:
            found = [(await client.get(BALANCE)).json()["balance"] for _ in range(20)]
        (only,) = set(found)
        return int(only)

    assert await asyncio.gather(*map(read, range(6))) == wanted


async def test_windows_and_eventual_balances_fall_back_to_the_books(api: ServedApi) -> None:
    async with api.client(await api.key("read")) as client:
        windows = (await client.get("/v1/accounts/customer:ann/windows?asset=USD/2")).json()["items"]
        eventual = (await client.get(f"{BALANCE}&consistency=eventual")).json()
    assert [(each["closing"], each["entries"], each["source"]) for each in windows] == [(8800, 4, "database")]
    assert (eventual["balance"], eventual["source"]) == (8800, "database")


async def test_the_last_use_of_a_key_is_written_down(api: ServedApi) -> None:
    key = await api.key("read")
    async with api.client(key) as client:
        assert (await client.get("/v1/accounts")).status_code == 200
    await api.services.keys.close()
    found = await api.services.keys._reader.presented(key.key_id)
    assert found is not None
    assert found.last_used_at is not None


async def test_requests_that_run_are_finished_when_it_stops(postgres_dsn: str) -> None:
    async with served(postgres_dsn) as api, api.client(await api.key("read")) as client:
        running = [asyncio.ensure_future(client.get("/v1/trial-balance")) for _ in range(5)]
        while not api.server.server_state.tasks:  # noqa: ASYNC110  - uvicorn tells nobody
            await asyncio.sleep(0)
        api.services.draining.begin()
        api.server.should_exit = True
        await api.running
        assert {answer.status_code for answer in await asyncio.gather(*running)} == {200}


async def test_fuzzing_finds_nothing(api: ServedApi, tmp_path: Path) -> None:
    only = ("--exclude-method", "POST", "--exclude-path-regex", "/stream$")
    await fuzzing_finds_nothing(api, "read", tmp_path, 15, *only)
