"""Readers beside a stream send on time whatever they are answered; books are grown to the size asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from loadtests.bench.beside import Found, Heard, Reader, Reads, _note
from loadtests.bench.growth import NoRoomError, grown, growth
from loadtests.bench.latencies import Latencies
from loadtests.bench.results import Percentiles
from loadtests.bench.stage import Servers

RATE, SECONDS = 200.0, 0.5


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[str]:
    """An API that answers everything alike; gives its address."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status if request.headers["Authorization"] == "Bearer k" else 401)

    app = web.Application()
    app.router.add_get("/v1/accounts/{account}/balance", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def heard(status: int, late_s: float = 0.0) -> Heard:
    async with answering(status) as url:
        return await Reader(url, Reads("read", "k", RATE)).read(perf_counter() - late_s, SECONDS)


def percentiles(found: Heard) -> Percentiles:
    latencies = Latencies()
    latencies.add_encoded(found.latencies)
    return latencies.percentiles()


def noted(answers: dict[int, int]) -> Found:
    found = Found()
    _note(found, Reads("read", "k", RATE), Latencies(), cast(Any, answers), 0)
    return found


async def test_requests_are_sent_at_their_rate_and_all_are_counted() -> None:
    begun = perf_counter()
    found = await heard(200)

    assert found.answers == {200: RATE * SECONDS}
    assert percentiles(found).count == RATE * SECONDS
    assert perf_counter() - begun > 0.9 * SECONDS


async def test_what_fell_due_while_nobody_could_send_counts_from_when_it_was_due() -> None:
    found = percentiles(await heard(200, late_s=10.0))

    assert found.count == RATE * SECONDS
    assert found.p50_ms > 9_500


async def test_no_answer_is_a_fault() -> None:
    found = await Reader("http://127.0.0.1:1", Reads("read", "k", RATE)).read(perf_counter(), 0.1)
    (fault,) = noted(found.answers).faults

    assert fault == "read was answered {0: 20} (0: not at all)"


async def test_being_turned_away_is_an_answer() -> None:
    assert noted((await heard(503)).answers).faults == []


async def test_other_answers_are_faults() -> None:
    (fault,) = noted((await heard(404)).answers).faults

    assert fault.startswith("read was answered {404: ")


@pytest.mark.parametrize(("entries", "rounds"), [(0, 0), (20_000, 0), (20_001, 1), (1_000_000, 49)])
def test_books_are_grown_to_at_least_the_size_asked_for(entries: int, rounds: int) -> None:
    ground = grown(entries).ground

    assert ground is not None
    assert ground.rounds == rounds
    assert ground.entries >= entries


async def test_books_that_the_disk_has_no_room_for_are_left_out(tmp_path: object) -> None:
    servers = cast(Servers, SimpleNamespace(directory=tmp_path))

    with pytest.raises(NoRoomError, match="1,000,000,000,000 entries need"):
        await growth(servers, 10**12, 1)
