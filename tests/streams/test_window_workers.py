"""Windows over HTTP: who may ask, which worker is asked, and what becomes of an answer that does not come."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import aiohttp
import pytest
from aiohttp import web

from ledger.adapters.workers.client import Workers
from ledger.adapters.workers.wire import BALANCE_PATH, ROUTES_PATH, WINDOWS_PATH
from ledger.application.stream_reading import BalanceOf, Cause, StreamAwayError
from ledger.config import Settings
from ledger.domain.window import WindowSize
from streams.health import serving
from streams.transport.app import chunked_app
from streams.windows.serving import add_window_routes
from tests.fakes import RememberedSignals
from tests.streams.window_workers import KEPT_FROM, START, TOKEN, FakeBook, FakeGroup, life_for

OF = BalanceOf("acme", "ann", "USD/2")
QUERY = {"tenant": "acme", "account": "ann", "asset": "USD/2"}
RANGE = {"size": "1m", "first": "0", "before": str(2 * START), "limit": "5"}
KEY = {"authorization": f"Bearer {TOKEN}"}
TIMEOUT_S = 1.5


@pytest.fixture
async def group() -> AsyncIterator[FakeGroup]:
    async with FakeGroup.open(3) as group:
        yield group


@pytest.fixture
def signals() -> RememberedSignals:
    return RememberedSignals()


@pytest.fixture
async def workers(group: FakeGroup, signals: RememberedSignals) -> AsyncIterator[Workers]:
    """A client that was told of one worker only."""
    async with Workers.open([group.workers[0].url], TOKEN, signals, timeout_s=TIMEOUT_S) as workers:
        yield workers


@pytest.fixture
async def patient(group: FakeGroup, signals: RememberedSignals) -> AsyncIterator[Workers]:
    """The same, for many questions at a time to workers of which none hangs, however slow the machine is."""
    async with Workers.open([group.workers[0].url], TOKEN, signals, timeout_s=60.0) as workers:
        yield workers


async def status_of(url: str, headers: dict[str, str] | None = None, **query: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, params=query, headers=headers) as response,
    ):
        return response.status


async def cause_of(workers: Workers, of: BalanceOf = OF) -> Cause:
    with pytest.raises(StreamAwayError) as caught:
        await workers.balance(of)
    return caught.value.cause


# Serving


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer another"}, {"authorization": "Bearer \xe9"}]
)
@pytest.mark.parametrize("path", [BALANCE_PATH, WINDOWS_PATH, ROUTES_PATH])
async def test_nothing_is_told_without_the_token(
    group: FakeGroup, path: str, headers: dict[str, str]
) -> None:
    assert await status_of(group.workers[0].url + path, headers, **QUERY, **RANGE) == 401


async def test_nothing_is_served_if_no_token_is_set() -> None:
    settings = Settings(kafka_bootstrap="127.0.0.1:1", internal_token=None)
    server = web.Application()
    add_window_routes(
        server, FakeBook(), chunked_app("none", settings, RememberedSignals(), ["entries"]), settings
    )
    assert list(server.router.routes()) == []


@pytest.mark.parametrize("wrong", [{"size": "2m"}, {"first": "x"}, {"limit": "1.5"}])
async def test_a_question_that_makes_no_sense_is_refused(group: FakeGroup, wrong: dict[str, str]) -> None:
    assert await status_of(group.workers[0].url + WINDOWS_PATH, KEY, **(QUERY | RANGE | wrong)) == 400


async def test_a_worker_answers_for_its_partitions_alone(group: FakeGroup) -> None:
    found = {
        worker is group.owner(OF): await status_of(worker.url + BALANCE_PATH, KEY, **QUERY)
        for worker in group.workers
    }
    assert found == {True: 200, False: 421}


async def test_a_worker_that_has_a_partition_but_no_windows_yet_asks_for_patience(group: FakeGroup) -> None:
    owner = group.owner(OF)
    owner.book.held.clear()
    assert await status_of(owner.url + BALANCE_PATH, KEY, **QUERY) == 503


async def test_nobody_tells_who_holds_what_during_a_rebalance(group: FakeGroup) -> None:
    for worker in group.workers:
        worker.is_settled = False
        worker.book.held.clear()
        assert await status_of(worker.url + BALANCE_PATH, KEY, **QUERY) == 503
        assert await status_of(worker.url + ROUTES_PATH, KEY) == 503


# Asking


async def test_each_of_thousands_of_keys_is_asked_of_its_own_worker(
    group: FakeGroup, patient: Workers
) -> None:
    balances = [BalanceOf(f"t{number % 7}", f"user:{number}", "USD/2") for number in range(2000)]
    for some in range(0, len(balances), 50):
        asked = balances[some : some + 50]
        answers = await asyncio.gather(*(patient.balance(of) for of in asked))
        assert [answer.life for answer in answers] == [life_for(of) for of in asked]
    assert group.count(BALANCE_PATH, 421) == 0
    assert group.count(ROUTES_PATH) == 1


async def test_windows_come_with_what_proves_them(workers: Workers) -> None:
    found = await workers.windows(OF, WindowSize.MINUTE, 0, 2 * START, 5)
    assert [each.start for each in found.windows] == [START]
    assert (found.of, found.kept_from, found.life) == (OF, KEPT_FROM, life_for(OF))
    assert found.fresh_at_us == (START + 1.5) * 1_000_000


async def test_a_balance_that_the_stream_never_heard_of_is_an_answer(workers: Workers) -> None:
    unknown = BalanceOf("acme", "ann", "JPY/0")
    assert (await workers.balance(unknown)).life is None


async def test_routes_are_learned_anew_once_when_partitions_move(group: FakeGroup, patient: Workers) -> None:
    await patient.balance(OF)
    await asyncio.sleep(0.25)
    group.share(group.workers[1:])
    balances = [BalanceOf("acme", f"user:{number}", "USD/2") for number in range(40)]
    answers = await asyncio.gather(*(patient.balance(of) for of in balances))
    assert [answer.life for answer in answers] == [life_for(of) for of in balances]
    assert group.count(ROUTES_PATH) <= 1 + len(group.workers)


async def test_a_worker_that_never_holds_it_is_asked_twice_at_most(
    group: FakeGroup, workers: Workers
) -> None:
    await workers.balance(OF)
    owner = group.owner(OF)
    owner.book.held.clear()
    owner.is_mine = lambda partition: False  # type: ignore[method-assign]
    assert await cause_of(workers) == Cause.MISDIRECTED
    assert owner.count(BALANCE_PATH, 421) == 2


async def test_a_worker_that_hangs_is_given_up_and_then_left_alone(
    group: FakeGroup, workers: Workers, signals: RememberedSignals
) -> None:
    await workers.balance(OF)
    group.owner(OF).hangs = True
    begun = monotonic()
    causes = await asyncio.gather(*(cause_of(workers) for _ in range(6)))
    assert set(causes) == {Cause.TOO_SLOW}
    assert monotonic() - begun < 3 * TIMEOUT_S
    assert await cause_of(workers) == Cause.BREAKER_OPEN
    assert "windows.breaker_changed" in signals.names()
    assert workers.breaker_states()[group.owner(OF).url] == "open"


async def test_a_worker_that_is_gone_does_not_take_the_others_with_it(
    group: FakeGroup, workers: Workers
) -> None:
    await workers.balance(OF)
    gone = group.owner(OF)
    others = [
        each
        for each in (BalanceOf("acme", f"{n}", "USD/2") for n in range(30))
        if group.owner(each) is not gone
    ]
    gone.url = "http://127.0.0.1:1"
    await asyncio.sleep(0.25)
    await workers._routes.refresh()
    for _ in range(8):
        assert await cause_of(workers) in (Cause.UNREACHABLE, Cause.BREAKER_OPEN)
    answers = [await workers.balance(of) for of in others]
    assert [answer.of for answer in answers] == others


async def test_no_worker_at_all_is_told_in_time(signals: RememberedSignals) -> None:
    async with Workers.open(["http://127.0.0.1:1"], TOKEN, signals, timeout_s=TIMEOUT_S) as workers:
        assert await cause_of(workers) == Cause.UNREACHABLE


async def test_an_answer_about_another_balance_is_refused(signals: RememberedSignals) -> None:
    async def mistaken(request: web.Request) -> web.Response:
        if request.path == ROUTES_PATH:
            host = f"http://{request.host}"
            return web.json_response({"generation": 1, "partitions": 1, "urls": {"0": host}})
        return web.json_response({"of": {**QUERY, "account": "bob"}, "life": None, "fresh_at_us": 0})

    server = web.Application()
    server.add_routes([web.get("/{path:.*}", mistaken)])
    async with (
        serving(server, "127.0.0.1", 0) as port,
        Workers.open([f"http://127.0.0.1:{port}"], TOKEN, signals, timeout_s=TIMEOUT_S) as workers,
    ):
        assert await cause_of(workers) == Cause.REFUSED


async def test_a_wrong_token_is_a_refusal(group: FakeGroup, signals: RememberedSignals) -> None:
    async with Workers.open([group.workers[0].url], "another", signals, timeout_s=TIMEOUT_S) as workers:
        assert await cause_of(workers) == Cause.UNREACHABLE
    assert group.workers[0].count(ROUTES_PATH, 401) >= 1
