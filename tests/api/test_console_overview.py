"""The overview: what the strip shows, and each thing that can be wrong told with where to look and what to do."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from ledger.api.console import overview
from ledger.api.console.runbook import anchor_of, html_of
from ledger.api.console.troubles import Kind, Seen, Trouble, troubles_of
from ledger.api.console_services import ApiStand
from ledger.application.access import Scope
from ledger.application.breaker import BreakerState
from ledger.application.faults import TransientFaultError
from ledger.application.open_streams import OpenStreams
from ledger.application.operator_counts import OperatorCounts
from ledger.application.pipeline import BooksStand, PartitionStand, Pipeline, rates_between
from ledger.application.provider_reading import BreakerTold
from ledger.application.reports import Checked, Verification
from ledger.bootstrap.console import runbook
from tests.api.console_world import ConsoleWorld, forget_keys, stand, token_in, visiting
from tests.builders import NOW

WELL = Pipeline(
    at=NOW,
    requests=0,
    payments=stand(),
    entries=stand("ledger.entries"),
    books=BooksStand({0: 10}, NOW),
)
API = ApiStand(0, 0, True, False)
SHUT = BreakerTold(
    tenant="acme",
    provider="bank",
    worker="w",
    state=BreakerState.OPEN,
    since=NOW,
    retry_at=NOW,
    calls=9,
    bad=7,
    told_at=NOW,
)


def pipeline(**changes: Any) -> Seen:
    return Seen(replace(WELL, **changes), API)


EACH: dict[Kind, Seen] = {
    Kind.POSTGRES_AWAY: pipeline(books=None, faults={"postgres": "refused"}),
    Kind.KAFKA_AWAY: pipeline(payments=None, entries=None, faults={"kafka": "refused"}),
    Kind.NOBODY_POSTS: pipeline(payments=stand(members=0)),
    Kind.POSTING_BEHIND: pipeline(payments=stand(end=20, waits=90)),
    Kind.BOOKS_BEHIND: pipeline(books=BooksStand({0: 7}, NOW)),
    Kind.RECORDS_EXPIRED: pipeline(
        payments=replace(stand(), partitions=[PartitionStand(0, 5, 10, 5)]),
        books=BooksStand({0: 3}, NOW),
    ),
    Kind.NOBODY_ROLLS_WINDOWS: pipeline(entries=stand("ledger.entries", end=20, members=0)),
    Kind.WINDOWS_BEHIND: pipeline(entries=stand("ledger.entries", end=20, waits=90)),
    Kind.LETTERS_OPEN: Seen(WELL, API, OperatorCounts(3, 0, 0)),
    Kind.PAYMENTS_STUCK: Seen(WELL, API, OperatorCounts(0, 2, 0)),
    Kind.PAYMENTS_OVERDUE: Seen(WELL, API, OperatorCounts(0, 0, 4)),
    Kind.PROVIDER_SHUT: Seen(WELL, API, shut=[SHUT]),
    Kind.OUTCOMES_UNHEARD: Seen(WELL, API._replace(follows_outcomes=False)),
    Kind.CACHE_AWAY: Seen(WELL, API._replace(cache_is_away=True)),
    Kind.VERIFICATION_FAILED: Seen(WELL, API, violations=2),
}


def kinds(seen: Seen) -> list[Kind]:
    return [each.kind for each in troubles_of(seen)]


def test_nothing_is_wrong_where_nothing_is() -> None:
    assert troubles_of(Seen(WELL, API, OperatorCounts(0, 0, 0), violations=0)) == []


def test_what_is_not_set_up_is_not_wrong() -> None:
    nothing = Pipeline(at=NOW, requests=0, books=BooksStand({}, None))
    assert troubles_of(Seen(nothing, API._replace(follows_outcomes=None))) == []


@pytest.mark.parametrize("kind", Kind)
def test_each_thing_that_can_be_wrong_is_told(kind: Kind) -> None:
    (trouble,) = troubles_of(EACH[kind])
    assert trouble.kind is kind
    assert trouble.says.endswith(".")
    assert trouble.page.startswith("/console/")


@pytest.mark.parametrize("kind", Kind)
def test_the_runbook_tells_what_to_do_about_it(kind: Kind) -> None:
    headings = re.findall(r"^#+ (.+)$", runbook(), re.MULTILINE)
    assert kind.value in {anchor_of(heading) for heading in headings}


def test_what_is_worst_comes_first() -> None:
    seen = Seen(replace(WELL, books=None, faults={"postgres": "x"}), API._replace(cache_is_away=True))
    assert [each.level for each in troubles_of(seen)] == ["bad", "warning"]


def test_a_little_lag_is_as_it_should_be() -> None:
    assert kinds(pipeline(payments=stand(end=5000, committed=0, waits=2))) == []


@pytest.mark.parametrize(("waits", "level", "said"), [(6, "warning", "is late"), (31, "bad", "is behind")])
def test_what_waits_for_long_is_late_before_it_is_behind(waits: int, level: str, said: str) -> None:
    (trouble,) = troubles_of(pipeline(payments=stand(end=20, waits=waits)))
    assert (trouble.kind, trouble.level, said in trouble.says) == (Kind.POSTING_BEHIND, level, True)


def test_rates_are_differences_over_time() -> None:
    later = replace(
        WELL,
        at=NOW.replace(second=NOW.second + 10),
        requests=50,
        payments=stand(end=110, committed=60),
        books=BooksStand({0: 60}, NOW),
    )
    rates = rates_between(WELL, later)
    assert (rates.written, rates.posted, rates.windowed, rates.requests) == (10, 5, 0, 5)
    assert rates_between(None, WELL).written is None


async def shown(world: ConsoleWorld, path: str = "/console", **given: Any) -> str:
    async with visiting(world, "admin", **given) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_the_overview_shows_each_part_and_that_nothing_is_wrong() -> None:
    text = await shown(ConsoleWorld())
    assert re.findall(r"<h3>(\w+)</h3>", text) == ["Topic", "Posting", "Books", "Windows", "API"]
    assert "Nothing is wrong" in text


async def test_rates_come_with_the_second_look() -> None:
    world = ConsoleWorld()
    async with visiting(world) as client:
        await client.get("/console")
        world.clock.move(10)
        world.monotonic += 10
        world.streams.stands["payments"] = stand(end=1010, committed=510)
        world.position.offset = 510
        text = (await client.get("/console")).text
    assert re.findall(r'class="rate">(.*?)<', text)[:3] == ["100/s", "50/s", "50/s"]


async def test_a_look_of_long_ago_tells_no_rate() -> None:
    world = ConsoleWorld()
    async with visiting(world) as client:
        for passed, rates in ((60, ["…", "…", "…"]), (10, ["10/s", "10/s", "10/s"])):
            await client.get("/console")
            world.clock.move(passed)
            world.monotonic += passed
            world.position.offset += 100
            moved = stand(end=world.position.offset, committed=world.position.offset)
            world.streams.stands = {"payments": moved, "ledger.entries": moved}
            text = (await client.get("/console")).text
            assert re.findall(r'class="rate">(.*?)<', text)[:3] == rates


async def test_those_who_look_at_once_share_one_look() -> None:
    world = ConsoleWorld()
    console = world.console()
    assert await console.watch() is await console.watch()
    world.monotonic += 2
    world.position.fault = "away"
    assert (await console.watch()).pipeline.books is None


async def test_a_dead_database_is_told_with_where_to_look_and_hides_nothing_else() -> None:
    world = ConsoleWorld()
    world.position.fault = "refused <b>"
    text = await shown(world)
    assert "PostgreSQL cannot be read" in text
    assert 'href="/console/pipeline#books"' in text
    assert 'href="/console/runbook#postgresql-is-away"' in text
    page = await shown(world, "/console/pipeline")
    assert "refused &lt;b&gt;" in page


@pytest.mark.parametrize(("scope", "tenant", "hears"), [("admin", "acme", True), ("admin", "rival", False)])
@pytest.mark.parametrize("are_keys_known", [True, False])
async def test_what_servers_said_is_for_operators(
    scope: Scope, tenant: str, hears: bool, are_keys_known: bool
) -> None:
    world = ConsoleWorld()
    world.position.fault, world.streams.fault = "at 10.0.3.7", "at 10.0.3.8"
    async with visiting(world, scope, tenant) as client:
        if not are_keys_known:
            forget_keys(world, TransientFaultError("away"))
        page = (await client.get("/console/pipeline")).text
    assert ("PostgreSQL cannot be read" in page, "Kafka does not answer" in page) == (True, True)
    assert ("at 10.0.3.7" in page, "at 10.0.3.8" in page) == (hears, hears)


async def test_a_dead_kafka_is_told() -> None:
    world = ConsoleWorld()
    world.streams.fault = "no brokers"
    assert "Kafka does not answer" in await shown(world)
    assert "no brokers" in await shown(world, "/console/pipeline")


async def test_only_operators_hear_of_what_belongs_to_no_tenant() -> None:
    world = ConsoleWorld()
    world.board.said = OperatorCounts(3, 0, 0)
    assert "3 dead letters are open" in await shown(world)
    for scope, tenant in (("read", "acme"), ("admin", "rival")):
        async with visiting(world, scope, tenant) as client:  # type: ignore[arg-type]
            text = (await client.get("/console")).text
        assert ("dead letters are open" in text, "/console/letters" in text) == (False, False)


async def test_the_live_stream_sends_the_overview_and_ends_with_the_process() -> None:
    world = ConsoleWorld()
    services = world.services()
    async with visiting(world, draining=services.draining, console=services.console) as client:
        services.draining.begin()
        text = (await client.get("/console/live")).text
    assert text.startswith("retry: 2000\n\nevent: overview\ndata: {")
    assert services.console is not None
    assert len(services.console.streams) == 0


@pytest.mark.parametrize(
    ("streams", "status", "code"),
    [(OpenStreams(9, 1), 429, "too_many_streams"), (OpenStreams(1, 9), 503, "overloaded")],
)
async def test_too_many_live_streams_are_refused_with_a_problem(
    streams: OpenStreams, status: int, code: str
) -> None:
    world = ConsoleWorld()
    async with visiting(world, console=world.console(streams=streams)) as client:
        with streams.one_more(1):
            answer = await client.get("/console/live")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (answer.headers["retry-after"], len(streams)) == ("5", 0)


async def revoked(world: ConsoleWorld, client: httpx.AsyncClient) -> None:
    [key] = world.key_store.kept
    await world.keys.revoke(key)


async def signed_out(world: ConsoleWorld, client: httpx.AsyncClient) -> None:
    page = await client.get("/console/runbook")
    await client.post("/console/sign-out", data={"token": token_in(page.text)})


async def past_its_time(world: ConsoleWorld, client: httpx.AsyncClient) -> None:
    world.clock.move(3600)


@pytest.mark.parametrize("end", [revoked, signed_out, past_its_time])
async def test_a_live_stream_ends_with_its_session_and_its_key(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[ConsoleWorld, httpx.AsyncClient], Awaitable[None]]
) -> None:
    monkeypatch.setattr(overview, "EVERY_S", 0.01)
    world = ConsoleWorld()
    streams = OpenStreams(1, 1)
    async with visiting(world, console=world.console(streams=streams)) as client:
        stream = asyncio.create_task(client.get("/console/live"))
        while not len(streams):  # noqa: ASYNC110 - it is counted, and tells nobody
            await asyncio.sleep(0)
        await end(world, client)
        world.monotonic += 3
        answer = await asyncio.wait_for(stream, 10)
    assert answer.status_code == 200


async def test_all_who_watch_cost_one_look_at_what_waits() -> None:
    world = ConsoleWorld()
    console = world.console()
    async with (
        visiting(world, "admin", console=console) as one,
        visiting(world, "admin", console=console) as two,
    ):
        await asyncio.gather(*(client.get("/console") for client in (one, two) * 5))
        assert (world.board.asked, world.verdict.asked) == (1, 1)
        world.monotonic += 1
        await one.get("/console")
    assert (world.board.asked, world.verdict.asked) == (2, 2)


@pytest.mark.parametrize("away", ["the counts", "the last verdict"])
async def test_what_could_not_be_asked_is_asked_again_within_a_second(away: str) -> None:
    world = ConsoleWorld()
    world.board.said = OperatorCounts(3, 0, 0)
    world.verdict.verification = Verification(NOW, 1.0, "payments", False, [Checked("x", False, 1, [{}])])
    console, wrong = (
        world.console(),
        {"the counts": "3 dead letters", "the last verdict": "1 violation"}[away],
    )

    async def counts() -> OperatorCounts:
        world.monotonic += 5
        if away == "the counts":
            raise TransientFaultError("away")
        return world.board.said

    world.board.counts = counts  # type: ignore[method-assign]
    world.verdict.away = away == "the last verdict"
    async with visiting(world, "admin", console=console) as client:
        assert wrong not in (await client.get("/console")).text
        away, world.verdict.away = "", False
        world.monotonic += 1
        assert wrong in (await client.get("/console")).text


def test_the_runbook_is_shown_with_its_tags_as_text() -> None:
    html = html_of("# A <script> & b\n\n[here](#a-script--b) `x`\n\n| a |\n|---|\n| b |\n")
    assert '<h1 id="a-script--b">A &lt;script&gt; &amp; b</h1>' in html
    assert '<a href="#a-script--b">here</a> <code>x</code>' in html


def test_of_what_is_not_served_the_runbook_says_where_it_is_read() -> None:
    html = html_of(
        "As [said *there*](other.md#part), [above](../README.md), [far](https://host/a#b) and [here](#x)."
    )
    assert html.strip() == (
        "<p>As said <em>there</em> (docs/other.md), above (README.md), far (https://host/a#b) "
        'and <a href="#x">here</a>.</p>'
    )


async def test_the_runbook_is_served() -> None:
    assert '<h2 id="postgresql-is-away">' in await shown(ConsoleWorld(), "/console/runbook")


def test_a_trouble_leads_to_the_runbook() -> None:
    trouble = Trouble(Kind.CACHE_AWAY, "bad", "x", "/console", "x")
    assert trouble.runbook == "/console/runbook#redis-is-away"
