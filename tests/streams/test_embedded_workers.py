"""Workers as parts: what they are told, and when they count as ready."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.config import Settings
from streams.embedded.part import is_ready
from streams.embedded.state import StateDirectory
from streams.embedded.workers import worker_part


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
    first, again = (worker_part(state, settings, 2) for _ in range(2))
    told = first.environment
    assert (told["LEDGER_KAFKA_BOOTSTRAP"], told["LEDGER_POSTGRES_DSN"]) == (
        "127.0.0.1:1",
        "postgresql://books",
    )
    assert (
        told["LEDGER_WORKER_PORT"] == again.environment["LEDGER_WORKER_PORT"] == str(state.port("worker-2"))
    )
    assert list(await first.command())[1:] == ["-m", "streams.cli", "worker", "post-events"]


@pytest.mark.parametrize(("answer", "ready"), [("200 OK", True), ("503 Service Unavailable", False)])
async def test_a_worker_is_ready_when_its_health_says_so(
    state: StateDirectory, settings: Settings, answer: str, ready: bool
) -> None:
    part = worker_part(state, settings, 1)
    async for _ in served(state.port("worker-1"), answer):
        assert await is_ready(part.ready) is ready


async def test_a_worker_that_does_not_listen_is_not_ready(state: StateDirectory, settings: Settings) -> None:
    assert not await is_ready(worker_part(state, settings, 1).ready)


async def served(port: int, answer: str) -> AsyncIterator[None]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readline()
        found = answer if asked.startswith(b"GET /health/ready ") else "404 Not Found"
        writer.write(f"HTTP/1.0 {found}\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", port):
        yield
