"""Our programs as parts: what they are told, and when they count as ready."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.config import Settings
from streams.embedded.part import is_ready
from streams.embedded.programs import (
    api,
    payments_workers,
    posting_workers,
    provider,
    provider_book,
    windows_workers,
)
from streams.embedded.provider.__main__ import parser
from streams.embedded.sealing_keys import with_sealing_keys
from streams.embedded.state import StateDirectory
from streams.simulated import simulated_settings


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.make()
    return made


@pytest.fixture
def settings() -> Settings:
    return Settings(kafka_bootstrap="127.0.0.1:1", postgres_dsn="postgresql://books")


async def test_a_worker_is_told_the_addresses_and_a_port_that_stays(
    state: StateDirectory, settings: Settings
) -> None:
    first, again = (posting_workers(2)[1](state, settings) for _ in range(2))
    told = first.environment
    assert (told["LEDGER_KAFKA_BOOTSTRAP"], told["LEDGER_POSTGRES_DSN"]) == (
        "127.0.0.1:1",
        "postgresql://books",
    )
    assert (
        told["LEDGER_WORKER_PORT"] == again.environment["LEDGER_WORKER_PORT"] == str(state.port("worker-2"))
    )
    assert list(await first.command())[1:] == ["-m", "streams.cli", "worker", "post-events"]


async def test_the_api_is_told_where_the_windows_are(state: StateDirectory, settings: Settings) -> None:
    two = settings.model_copy(update={"windows_workers": 2})
    workers = [make(state, two) for make in windows_workers(2)]
    told = api(state, two).environment
    assert told["LEDGER_WINDOWS_URLS"] == ",".join(str(worker.url) for worker in workers)
    assert {told["LEDGER_INTERNAL_TOKEN"]} == {each.environment["LEDGER_INTERNAL_TOKEN"] for each in workers}
    assert list(await workers[1].command())[1:] == ["-m", "streams.cli", "worker", "roll-windows"]


async def test_the_provider_tells_the_api_of_the_stack(state: StateDirectory, settings: Settings) -> None:
    part = provider(state, settings)
    given = parser().parse_args(list(await part.command())[3:])
    assert (given.port, given.book) == (state.port("provider"), provider_book(state))
    assert given.webhooks == f"{api(state, settings).url}/v1/providers/simulated/webhooks"
    assert simulated_settings(state)["secrets"] == [part.environment["PROVIDER_SECRETS"]]
    assert simulated_settings(state)["url"] == part.url


def test_parts_share_keys_that_seal_and_the_limits_of_payments(
    state: StateDirectory, settings: Settings
) -> None:
    ruled = settings.model_copy(update={"payment_rules": {"answer_s": 2}})
    told = [make(state, ruled).environment for make in (*payments_workers(1), api)]
    assert {each["LEDGER_PAYMENT_RULES"] for each in told} == {'{"answer_s": 2}'}
    assert len({each["LEDGER_SEALING_KEYS"] for each in told}) == 1
    kept = with_sealing_keys(Settings(state_dir=state.path)).sealing_keys
    assert kept == told[0]["LEDGER_SEALING_KEYS"]


def test_keys_are_made_by_a_stack_and_by_nobody_else(state: StateDirectory) -> None:
    assert with_sealing_keys(Settings(state_dir=state.path)).sealing_keys is None
    assert state.kept_secret("sealing-keys") is None


def test_the_api_takes_the_port_that_was_chosen_for_it(state: StateDirectory, settings: Settings) -> None:
    assert api(state, settings).url == f"http://127.0.0.1:{state.port('api')}"
    chosen = Settings(kafka_bootstrap="127.0.0.1:1", postgres_dsn="postgresql://books", api_port=8123)
    assert api(state, chosen).url == "http://127.0.0.1:8123"


def test_secrets_are_made_once_and_those_that_are_set_are_kept(state: StateDirectory) -> None:
    first, again = (posting_workers(1)[0](state, Settings()).environment for _ in range(2))
    assert first["LEDGER_KEY_SECRET"] == again["LEDGER_KEY_SECRET"]
    given = api(state, Settings(key_secret="k" * 16, internal_token="t" * 16)).environment
    assert (given["LEDGER_KEY_SECRET"], given["LEDGER_INTERNAL_TOKEN"]) == ("k" * 16, "t" * 16)


@pytest.mark.parametrize(("answer", "ready"), [("200 OK", True), ("503 Service Unavailable", False)])
async def test_a_worker_is_ready_when_its_health_says_so(
    state: StateDirectory, settings: Settings, answer: str, ready: bool
) -> None:
    (worker,) = posting_workers(1)
    part = worker(state, settings)
    async for _ in served(state.port("worker-1"), answer):
        assert await is_ready(part.ready) is ready


async def test_a_worker_that_does_not_listen_is_not_ready(state: StateDirectory, settings: Settings) -> None:
    (worker,) = posting_workers(1)
    assert not await is_ready(worker(state, settings).ready)


async def served(port: int, answer: str) -> AsyncIterator[None]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readline()
        found = answer if asked.startswith(b"GET /health/ready ") else "404 Not Found"
        writer.write(f"HTTP/1.0 {found}\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", port):
        yield
