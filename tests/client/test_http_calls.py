"""The client over HTTP: what is tried again, what is raised, and which outcome is believed."""

import json
from datetime import UTC, datetime
from time import monotonic

import pytest
from aiohttp import web

from ledger.client import (
    BusyError,
    HttpClient,
    InvalidEventError,
    MissingError,
    NotAnsweredError,
    ProblemError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
    UnreadableError,
    http,
    transfer,
)
from ledger.client.calling import retry_after_s
from ledger.client.http import EVENTS_AT_ONCE
from tests.client.api_double import ApiDouble, answering, outcome, problem, submitted

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
BALANCE = {
    **{"account": "ann", "asset": "USD/2", "posted_debits": 1, "posted_credits": 3, "balance": 2},
    **{"held": None, "available": None, "version": 4, "as_of": "2026-11-21T10:00:00Z"},
    **{"consistency": "eventual", "source": "stream", "age_ms": 120, "a member of the future": [1]},
}


def client_of(api: ApiDouble, deadline_s: float = 10.0, tenant: str | None = None) -> HttpClient:
    return HttpClient(api.url, "lk_key", deadline_s=deadline_s, tenant=tenant)


@pytest.mark.parametrize(
    "busy",
    [
        problem(429, "rate_limited", "0"),
        problem(503, "kafka_away", "0"),
        problem(503, "books_slow"),
        web.Response(status=502, text="<html>a proxy</html>"),
        None,
    ],
)
async def test_what_cannot_be_done_now_is_asked_again_with_the_same_bytes(busy: web.Response | None) -> None:
    event = transfer("ann", "shoes", 1, "USD/2")
    async with answering(busy, busy, submitted(outcome(event.id))) as api, client_of(api) as client:
        assert (await client.post(event)).status == "posted"
    assert len(api.asked) == 3
    assert len({each.body for each in api.asked}) == 1


async def test_retry_after_is_honoured_and_the_deadline_too() -> None:
    async with answering(problem(429, "rate_limited", "3600")) as api, client_of(api) as client:
        with pytest.raises(BusyError) as found:
            await client.balance("ann", "USD/2")
    assert (found.value.code, found.value.retry_after_s, len(api.asked)) == ("rate_limited", 3600.0, 1)


async def test_who_cannot_be_reached_is_unavailable() -> None:
    async with HttpClient("http://127.0.0.1:9", "lk_key", deadline_s=0.2) as client:
        with pytest.raises(UnavailableError):
            await client.balance("ann", "USD/2")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(401, "unauthenticated"), UnauthorizedError),
        (problem(403, "insufficient_scope"), UnauthorizedError),
        (problem(404, "account_not_found"), MissingError),
        (problem(422, "invalid_request", errors=[]), ProblemError),
        (problem(500, "internal_error", correlation_id="c1"), ProblemError),
        (web.Response(status=302, headers={"Location": "/elsewhere"}), ProblemError),
        (web.Response(text="hello"), UnreadableError),
        (web.json_response({"account": 7}), UnreadableError),
    ],
)
async def test_what_is_refused_is_raised_at_once(answer: web.Response, kind: type[Exception]) -> None:
    async with answering(answer) as api, client_of(api) as client:
        with pytest.raises(kind) as found:
            await client.balance("ann", "USD/2")
    assert (type(found.value), len(api.asked)) == (kind, 1)


async def test_a_problem_has_its_code_and_correlation_id() -> None:
    headed = problem(404, "hold_not_found")
    headed.headers["X-Request-Id"] = "r7"
    async with answering(headed) as api, client_of(api) as client:
        with pytest.raises(MissingError, match="404 hold_not_found: about hold_not_found") as found:
            await client.hold("h")
    assert (found.value.status, found.value.code, found.value.correlation_id) == (404, "hold_not_found", "r7")


async def test_a_balance_carries_its_age() -> None:
    async with answering(web.json_response(BALANCE)) as api, client_of(api) as client:
        found = await client.balance("customer:ann", "USD/2", consistency="eventual")
    assert (found.balance, found.held, found.source, found.age_ms) == (2, None, "stream", 120)
    asked = api.asked[0]
    assert (asked.path, dict(asked.query)) == (
        "/v1/accounts/customer:ann/balance",
        {"asset": "USD/2", "consistency": "eventual"},
    )
    assert asked.headers["Authorization"] == "Bearer lk_key"


async def test_events_go_as_a_batch_and_their_outcomes_are_waited_for() -> None:
    events = [transfer("ann", "shoes", number, "USD/2", correlation_id="c") for number in (1, 2)]
    refused = outcome(events[1].id, "rejected", reason="insufficient_funds")
    async with (
        answering(submitted(outcome(events[0].id), refused)) as api,
        client_of(api, tenant="acme") as client,
    ):
        found = await client.post_all(events, wait_s=7)
    assert [each.reason for each in found] == [None, "insufficient_funds"]
    sent = json.loads(api.asked[0].body)
    assert [each["id"] for each in sent] == [event.id for event in events]
    assert {(each["tenant"], each["correlationid"]) for each in sent} == {("acme", "c")}
    assert api.asked[0].headers["Prefer"] == "wait=7"


@pytest.mark.parametrize("status", ["rejected", "duplicate"])
async def test_a_refusal_is_raised_by_who_waits_for_one(status: str) -> None:
    event = transfer("ann", "shoes", 1, "USD/2")
    answer = submitted(outcome(event.id, status, reason="account_closed"))
    async with answering(answer) as api, client_of(api) as client:
        with pytest.raises(RejectedError) as found:
            await client.post(event)
    assert found.value.reason == "account_closed"


async def test_what_is_not_answered_in_time_is_named() -> None:
    events = [transfer("ann", "shoes", number, "USD/2") for number in (1, 2)]
    answer = submitted(outcome(events[0].id), pending=[events[1].id])
    async with answering(answer, problem(404, "event_not_found")) as api, client_of(api) as client:
        with pytest.raises(NotAnsweredError) as found:
            await client.post_all(events, wait_s=0.6)
    assert (list(found.value.outcomes), found.value.pending) == ([events[0].id], [events[1].id])


async def test_an_outcome_that_comes_later_is_found() -> None:
    event = transfer("ann", "shoes", 1, "USD/2")
    replies = (
        submitted(pending=[event.id]),
        problem(404, "event_not_found"),
        web.json_response(outcome(event.id, transaction=event.id)),
        submitted(outcome(event.id, "duplicate", transaction=event.id)),
    )
    async with answering(*replies) as api, client_of(api) as client:
        found = await client.post(event)
    assert (found.status, found.transaction) == ("posted", event.id)
    path = ("GET", f"/v1/events/{event.id}")
    assert api.calls == [("POST", "/v1/events"), path, path, ("POST", "/v1/events")]


async def test_outcomes_that_come_later_are_told_apart_by_one_call() -> None:
    events = [transfer("ann", "shoes", number, "USD/2", metadata={"of": "one"}) for number in (1, 2)]
    replies = (
        submitted(pending=[event.id for event in events]),
        *(web.json_response(outcome(event.id)) for event in events),
        submitted(*(outcome(event.id, "duplicate") for event in events)),
    )
    async with answering(*replies) as api, client_of(api) as client:
        assert [each.status for each in await client.post_all(events)] == ["posted", "posted"]
    assert [method for method, _ in api.calls] == ["POST", "GET", "GET", "POST"]


async def test_what_goes_wrong_after_sending_is_waited_for_no_longer_than_asked() -> None:
    events = [transfer("ann", "shoes", number, "USD/2") for number in (1, 2)]
    answer = submitted(outcome(events[0].id), pending=[events[1].id])
    async with answering(answer, problem(503, "books_slow")) as api, client_of(api) as client:
        began = monotonic()
        with pytest.raises(NotAnsweredError) as found:
            await client.post_all(events, wait_s=0.6)
    assert monotonic() - began < 3
    assert (list(found.value.outcomes), found.value.pending) == ([events[0].id], [events[1].id])


async def test_events_in_several_parts_are_waited_for_no_longer_than_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "EVENTS_AT_ONCE", 1)
    events = [transfer("ann", "shoes", number, "USD/2") for number in range(1, 6)]
    replies = [submitted(pending=[event.id]) for event in events]
    async with answering(*replies, problem(404, "event_not_found")) as api, client_of(api) as client:
        began = monotonic()
        with pytest.raises(NotAnsweredError) as found:
            await client.post_all(events, wait_s=0.6)
    assert monotonic() - began < 2
    assert (api.calls[:5], len(found.value.pending)) == ([("POST", "/v1/events")] * 5, 5)


async def test_events_in_several_parts_share_what_may_be_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "EVENTS_AT_ONCE", 1)
    events = [transfer("ann", "shoes", number, "USD/2") for number in range(1, 4)]
    async with (
        answering(*(submitted(outcome(event.id)) for event in events)) as api,
        client_of(api) as client,
    ):
        await client.post_all(events, wait_s=29)
    assert [each.headers["Prefer"] for each in api.asked] == ["wait=9", "wait=9", "wait=14"]


async def test_an_outcome_that_was_found_is_kept_though_another_cannot_be_read() -> None:
    events = [transfer("ann", "shoes", number, "USD/2") for number in (1, 2)]
    replies = (
        submitted(pending=[event.id for event in events]),
        web.json_response(outcome(events[0].id)),
        problem(503, "books_slow", "3600"),
        submitted(outcome(events[0].id, "duplicate")),
        problem(503, "books_slow", "3600"),
    )
    async with answering(*replies) as api, client_of(api) as client:
        with pytest.raises(NotAnsweredError) as found:
            await client.post_all(events, wait_s=2)
    assert (list(found.value.outcomes), found.value.pending) == ([events[0].id], [events[1].id])


async def test_what_cannot_be_sent_tells_the_outcomes_of_what_was_sent_before() -> None:
    events = [transfer("ann", "shoes", 1, "USD/2") for _ in range(EVENTS_AT_ONCE + 1)]
    sent = [event.id for event in events[:EVENTS_AT_ONCE]]
    replies = submitted(*(outcome(each) for each in sent)), problem(503, "kafka_away", "3600")
    async with answering(*replies) as api, client_of(api) as client:
        with pytest.raises(UnavailableError) as found:
            await client.post_all(events)
    assert list(found.value.outcomes) == sent


async def test_the_outcome_of_another_content_is_never_taken_for_its_own() -> None:
    event = transfer("ann", "shoes", 1, "USD/2")
    replies = (
        submitted(pending=[event.id]),
        web.json_response(outcome(event.id, transaction=event.id)),
        submitted(outcome(event.id, "rejected", reason="event_id_reused")),
    )
    async with answering(*replies) as api, client_of(api) as client:
        with pytest.raises(RejectedError) as found:
            await client.post(event)
    assert found.value.reason == "event_id_reused"


async def test_lists_are_read_to_their_end() -> None:
    line = {
        **{"transaction": "t", "type": "transfer.post.v1", "account": "ann", "asset": "USD/2", "amount": 1},
        **{"balance": 1, "posted_debits": 0, "posted_credits": 1, "reference": None},
        **{"posted_at": "2026-11-21T10:00:00Z", "effective_at": "2026-11-21T10:00:00Z"},
    }
    pages = (
        web.json_response({"items": [{**line, "version": 2}], "next_cursor": "abc"}),
        web.json_response({"items": [{**line, "version": 1}], "next_cursor": None}),
    )
    async with answering(*pages) as api, client_of(api) as client:
        found = [each.version async for each in client.statement("ann", "USD/2", since=NOW)]
    assert found == [2, 1]
    assert [each.query.get("cursor") for each in api.asked] == [None, "abc"]
    assert {each.query["from"] for each in api.asked} == {"2026-11-21T10:00:00+00:00"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("Sat, 21 Nov 2026 10:00:05 GMT", 5.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("99999999", 3600.0),
    ],
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await HttpClient("http://127.0.0.1:9", "lk_key").balance("ann", "USD/2")


def test_what_is_no_event_is_not_sent() -> None:
    with pytest.raises(InvalidEventError):
        transfer("ann", "shoes", -1, "USD/2")
