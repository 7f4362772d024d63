"""What reads answer: values, pages, refusals; and that every answer is what the document says."""

from datetime import timedelta
from typing import Any

import httpx
import jsonschema
import pytest

from ledger.api.app import create_app
from ledger.api.parameters import _moment
from ledger.application.cached_balances import Served
from ledger.application.eventual_balance import EventualBalance
from ledger.application.faults import OverloadedError, TooSlowError, TransientFaultError
from ledger.application.read_windows import SourcedWindow, WindowRange
from ledger.domain.window import Window, start_of
from tests.api.world import World, client_of, client_over
from tests.builders import NOW, event_id

BALANCE = "/v1/accounts/ann/balance?asset=USD/2"


async def get(client: httpx.AsyncClient, path: str, status: int = 200, **params: Any) -> Any:
    answer = await client.get(path, params=params or None)
    assert answer.status_code == status, answer.text
    kind = "application/json" if status == 200 else "application/problem+json"
    assert answer.headers["content-type"] == kind
    return answer.json()


async def test_a_balance_has_the_members_of_the_contract(client: httpx.AsyncClient) -> None:
    assert await get(client, BALANCE) == {
        "account": "ann",
        "asset": "USD/2",
        "posted_debits": 320,
        "posted_credits": 1100,
        "balance": 780,
        "held": 30,
        "available": 750,
        "version": 4,
        "as_of": "2026-11-21T10:03:00Z",
        "consistency": "strong",
        "source": "database",
        "age_ms": 0,
    }


async def test_a_balance_is_told_as_it_stood(client: httpx.AsyncClient) -> None:
    past = await get(client, BALANCE + "&at=2026-11-21T11:01:59%2B01:00")
    assert (past["balance"], past["version"], past["held"]) == (700, 2, None)
    assert past["as_of"] == "2026-11-21T10:01:59Z"


@pytest.mark.parametrize(
    "query",
    ["&at=2026-11-21T10:03:01Z", "&at=2026-11-21T10:00:00Z&consistency=cached"],
    ids=["future", "not strong"],
)
async def test_a_time_that_cannot_be_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await get(client, BALANCE + query, 422))["code"] == "invalid_range"


async def test_a_parameter_that_is_given_twice_is_refused(world: World) -> None:
    async with client_over(world) as client:
        problem = await get(client, BALANCE + "&asset=EUR/2", 422)
    assert problem["errors"] == [{"in": "query", "name": "asset", "message": "It is given more than once."}]


async def test_a_cached_balance_tells_its_age(world: World) -> None:
    found_view = await world.services().balances.balance(1, "ann", "USD/2")
    assert found_view is not None
    view = found_view

    class Cached:
        async def balance(self, tenant: str, balance: Any) -> Served:
            assert (tenant, balance) == ("acme", (1, "ann", "USD/2"))
            return Served(view, "cache", 1.2345)

    async with client_over(world, cached=Cached()) as client:
        found = await get(client, BALANCE + "&consistency=cached")
    assert (found["source"], found["consistency"], found["age_ms"]) == ("cache", "cached", 1235)


async def test_an_eventual_balance_tells_its_source(world: World) -> None:
    view = await world.services().balances.balance_at(1, "ann", "USD/2", NOW)
    assert view is not None

    async def eventual(tenant_id: int, of: Any) -> EventualBalance:
        assert (tenant_id, of.tenant, of.account, of.asset) == (1, "acme", "ann", "USD/2")
        return EventualBalance(view, "stream", 40)

    async with client_over(world, eventual=eventual) as client:
        found = await get(client, BALANCE + "&consistency=eventual")
    assert (found["source"], found["held"], found["available"], found["age_ms"]) == ("stream", None, None, 40)


@pytest.mark.parametrize("consistency", ["cached", "eventual"])
async def test_what_is_not_served_says_so(client: httpx.AsyncClient, consistency: str) -> None:
    assert (await get(client, f"{BALANCE}&consistency={consistency}", 503))["code"] == "not_available"


INVALID = [
    "/v1/accounts/a b",
    "/v1/accounts/" + "a" * 129,
    "/v1/accounts/a%00b",
    "/v1/accounts/ann%0A",
    "/v1/accounts/%ff%fe",
    "/v1/accounts/ann%F0%9F%92%B0",
    "/v1/accounts?limit=0",
    "/v1/accounts?limit=501",
    "/v1/accounts?limit=1.5",
    "/v1/accounts?limit=%00",
    "/v1/accounts?prefix=%00",
    "/v1/accounts?unknown=1",
    "/v1/accounts/ann?unknown=1",
    "/v1/accounts/ann/balance",
    "/v1/accounts/ann/balance?asset=USD/3",
    "/v1/accounts/ann/balance?asset=usd/2",
    "/v1/accounts/ann/balance?asset=USD/2%0A",
    "/v1/accounts/ann/balance?asset=USD/2&consistency=none",
    "/v1/accounts/ann/balance?asset=USD/2&at=1700000000",
    "/v1/accounts/ann/balance?asset=USD/2&at=2026-11-21T10:00:00",
    "/v1/accounts/ann/balance?asset=USD/2&at=2026-02-30T10:00:00Z",
    "/v1/accounts/ann/balance?asset=USD/2&at=0001-01-01T00:00:00%2B23:59",
    "/v1/accounts/ann/entries?from=yesterday",
    "/v1/accounts/ann/windows?asset=USD/2&size=2m",
    "/v1/events/1",
    "/v1/events/%7B019aa5e2-f280-77dc-a235-639215ca5234%7D",
    "/v1/transactions/019aa5e2f28077dca235639215ca5234",
    "/v1/holds/x",
    "/v1/trial-balance?asset=1",
]


@pytest.mark.parametrize("path", INVALID)
async def test_what_is_not_of_the_contract_is_refused(client: httpx.AsyncClient, path: str) -> None:
    problem = await get(client, path, 422)
    assert problem["code"] == "invalid_request"
    assert problem["errors"][0].keys() == {"in", "name", "message"}


@pytest.mark.parametrize("path", ["/v1/accounts/ann/entries", "/v1/accounts/ann/windows?asset=USD/2"])
async def test_a_range_that_ends_before_it_begins_is_refused(world: World, path: str) -> None:
    async with client_over(world, windows=_no_windows) as client:
        query = f"{'&' if '?' in path else '?'}from=2026-11-21T10:00:00Z&to=2026-11-21T10:00:00Z"
        assert (await get(client, path + query, 422))["code"] == "invalid_range"


async def _no_windows(*given: Any) -> list[SourcedWindow]:
    return []


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/accounts/", "/v1/payment", "/v1/accounts/a/b/c"])
async def test_nothing_is_at_other_paths(client: httpx.AsyncClient, path: str) -> None:
    assert (await get(client, path, 404))["code"] == "not_found"


async def test_another_method_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/accounts/ann")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/accounts/eve", "account_not_found"),
        ("/v1/accounts/eve/balance?asset=USD/2", "account_not_found"),
        ("/v1/accounts/eve/balance?asset=USD/2&at=2026-11-21T10:00:00Z", "account_not_found"),
        ("/v1/accounts/eve/entries", "account_not_found"),
        (f"/v1/events/{event_id('none')}", "event_not_found"),
        (f"/v1/transactions/{event_id('h1')}", "transaction_not_found"),
        (f"/v1/holds/{event_id('d1')}", "hold_not_found"),
    ],
)
async def test_what_is_not_there_is_told(client: httpx.AsyncClient, path: str, code: str) -> None:
    assert (await get(client, path, 404))["code"] == code


# Pages


async def pages(client: httpx.AsyncClient, path: str, **params: Any) -> list[Any]:
    items: list[Any] = []
    cursor = None
    while True:
        page = await get(client, path, **params, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/accounts/ann/entries", "/v1/accounts/bob/entries"])
async def test_pages_make_the_whole(client: httpx.AsyncClient, path: str, limit: int) -> None:
    assert await pages(client, path, limit=limit) == await pages(client, path)


async def test_a_full_last_page_is_the_last(client: httpx.AsyncClient) -> None:
    assert (await get(client, "/v1/accounts", limit=5))["next_cursor"] is None


async def test_a_cursor_of_another_query_is_refused(client: httpx.AsyncClient) -> None:
    cursor = (await get(client, "/v1/accounts/ann/entries", limit=1))["next_cursor"]
    for path in ("/v1/accounts/bob/entries", "/v1/accounts/ann/entries?asset=USD/2", "/v1/accounts"):
        separator = "&" if "?" in path else "?"
        assert (await get(client, f"{path}{separator}cursor={cursor}", 422))["code"] == "invalid_cursor"


@pytest.mark.parametrize("cursor", ["x", "AAAA", "bnVsbA", "WzEsIngiLFsiYSJdXQ", "e30", "W10", "a" * 512])
async def test_a_cursor_that_is_none_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    assert (await get(client, "/v1/accounts", 422, cursor=cursor))["code"] == "invalid_cursor"


# Windows


async def test_windows_come_by_pages(world: World) -> None:
    async def windows(tenant_id: int, of: Any, asking: WindowRange) -> list[SourcedWindow]:
        starts = range(asking.first, asking.before, asking.size.seconds)
        window = Window("credit", 1, 0, 0, 2, 5, 20, 0, 20, 0)
        return [SourcedWindow(start, window, True, "stream", 7) for start in starts][: asking.limit]

    async with client_over(world, windows=windows) as client:
        path = (
            "/v1/accounts/ann/windows?asset=USD/2&size=1m&from=2026-11-21T10:00:30Z&to=2026-11-21T10:04:00Z"
        )
        page = await get(client, path + "&limit=3")
        rest = await get(client, f"{path}&limit=3&cursor={page['next_cursor']}")
        found = page["items"] + rest["items"]
    assert [each["start"][11:16] for each in found] == ["10:00", "10:01", "10:02", "10:03"]
    assert (found[0]["end"][11:16], found[0]["closing"], found[0]["entries"]) == ("10:01", 15, 2)
    assert rest["next_cursor"] is None


async def test_windows_without_times_are_the_latest(world: World) -> None:
    asked: list[WindowRange] = []

    async def windows(tenant_id: int, of: Any, asking: WindowRange) -> list[SourcedWindow]:
        asked.append(asking)
        return []

    async with client_over(world, windows=windows) as client:
        await get(client, "/v1/accounts/ann/windows?asset=USD/2")
    now = int(world.clock.now().timestamp())
    assert asked[0].before == now
    assert asked[0].first == start_of(asked[0].size, now * 1_000_000) - 99 * 3600


async def test_too_many_windows_are_refused(world: World) -> None:
    async with client_over(world, windows=_no_windows) as client:
        path = "/v1/accounts/ann/windows?asset=USD/2&size=1m&from=2026-01-01T00:00:00Z"
        assert (await get(client, path, 422))["code"] == "invalid_range"


# Events, transactions, holds, totals


async def test_an_outcome_has_the_shape_of_its_topic(client: httpx.AsyncClient) -> None:
    posted = await get(client, f"/v1/events/{event_id('d2').upper()}")
    assert (posted["status"], posted["transaction"]) == ("posted", event_id("d2"))
    assert [entry["amount"] for entry in posted["entries"]] == [-300, 300]
    refused = await get(client, f"/v1/events/{event_id('x1')}")
    assert (refused["status"], refused["reason"]) == ("rejected", "insufficient_funds")
    assert refused.keys().isdisjoint({"transaction", "entries", "hold"})


async def test_a_transaction_and_its_hold_lead_to_each_other(client: httpx.AsyncClient) -> None:
    captured = await get(client, f"/v1/transactions/{event_id('c1')}")
    hold = await get(client, f"/v1/holds/{captured['captures']}")
    assert hold["captures"] == [captured["transaction"]]
    assert (hold["amount"], hold["captured"], hold["left"], hold["state"]) == (50, 20, 30, "open")


async def test_the_trial_balance_is_zero(client: httpx.AsyncClient) -> None:
    found = await get(client, "/v1/trial-balance")
    assert [(each["asset"], each["difference"]) for each in found["items"]] == [("JPY/0", 0), ("USD/2", 0)]


# Faults


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TransientFaultError("secret of the inside"), 503, "books_away"),
        (TooSlowError("secret of the inside"), 503, "books_slow"),
        (OverloadedError("secret of the inside"), 503, "overloaded"),
        (RuntimeError("secret of the inside"), 500, "internal_error"),
    ],
)
async def test_a_fault_is_told_without_the_inside(
    world: World, error: Exception, status: int, code: str
) -> None:
    class Failing:
        async def balance(self, *given: Any) -> None:
            raise error

    async with client_over(world, balances=Failing()) as client:
        answer = await client.get(BALANCE)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)
    assert ("request.failed" in world.signals.names()) is (status == 500)
    assert answer.json()["correlation_id"] == answer.headers["x-request-id"]


# What the document says


ANSWERED = [
    ("/v1/accounts", "/v1/accounts"),
    ("/v1/accounts/till", "/v1/accounts/{account}"),
    ("/v1/accounts/external:bank", "/v1/accounts/{account}"),
    (BALANCE, "/v1/accounts/{account}/balance"),
    (f"{BALANCE}&at=2026-11-21T10:00:00Z", "/v1/accounts/{account}/balance"),
    ("/v1/accounts/ann/entries", "/v1/accounts/{account}/entries"),
    *((f"/v1/events/{event_id(name)}", "/v1/events/{event}") for name in ("d1", "h1", "c1", "x1")),
    *(
        (f"/v1/transactions/{event_id(name)}", "/v1/transactions/{transaction}")
        for name in ("d2", "r1", "c1")
    ),
    (f"/v1/holds/{event_id('h1')}", "/v1/holds/{hold}"),
    ("/v1/trial-balance", "/v1/trial-balance"),
    ("/health/ready", "/health/ready"),
]


@pytest.mark.parametrize(("path", "route"), ANSWERED)
async def test_every_answer_is_what_the_document_says(world: World, path: str, route: str) -> None:
    app = create_app(world.services())
    document = app.openapi()
    schema = document["paths"][route]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    async with client_of(app, await world.key()) as client:
        answer = await get(client, path)
    jsonschema.validate(
        answer,
        {**schema, "components": document["components"]},
        format_checker=jsonschema.FormatChecker(),
    )


async def test_the_page_of_the_document_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "openapi.json" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_time_before_its_offset_is_a_leap_second_after() -> None:
    assert _moment("2016-12-31T23:59:60Z") == _moment("2017-01-01T00:00:00Z")
    assert _moment("2026-11-21T10:00:00.123456789+01:00") == NOW - timedelta(hours=1, microseconds=-123456)
