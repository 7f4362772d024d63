"""Submitting: all is checked before any is sent, tenants are the key's, and waiting never loses an outcome."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.application.faults import LogAwayError
from ledger.application.outcome_feed import Notice, OutcomeFeed
from ledger.application.submit_events import (
    EventFault,
    InvalidEventsError,
    Marks,
    Submission,
    SubmitEvents,
    WrongTenantError,
    with_marks,
)
from ledger.contract.decode import decode_event
from tests.builders import NOW, TRANSFER, body, encoded, event_id


class ListLog:
    """A log in a list, which answers each event by the feed before it acknowledges."""

    def __init__(self, feed: OutcomeFeed | None = None, *, away: bool = False) -> None:
        self.sent: list[Submission] = []
        self.away = away
        self._feed = feed

    async def publish(self, submissions: Sequence[Submission]) -> None:
        if self.away:
            raise LogAwayError("away")
        self.sent += submissions
        for each in submissions if self._feed else ():
            self.answer(each)

    def answer(self, each: Submission) -> None:
        event = each.event
        value = encoded({"data": {"event_id": event.id}})
        notice = Notice(event.tenant, event.id, "posted", event.fingerprint, NOW, (), value)
        if self._feed is not None:
            self._feed.hear(notice)


def submitting(*, answers: bool = False, following: bool = True) -> tuple[SubmitEvents, ListLog, OutcomeFeed]:
    feed = OutcomeFeed()
    feed.is_following = following
    log = ListLog(feed if answers else None)
    return SubmitEvents(log, feed), log, feed


def events(*names: object, **attributes: Any) -> list[bytes]:
    return [encoded(body(name=name, **attributes)) for name in names]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (b'{"a":1}', b'{"tenant":"acme","a":1}'),
        (b' {\n "a":1.0e3}\n', b'{"tenant":"acme","a":1.0e3}\n'),
        (b"{ }", b'{"tenant":"acme"}'),
        (b'{"tenant":"other"}', b'{"tenant":"other"}'),
        (b'{"tenant":null}', b'{"tenant":null}'),
        (b'{"\\u0074enant":"other"}', b'{"\\u0074enant":"other"}'),
        (b"[1]", b"[1]"),
        (b"{", b"{"),
        (b'{"a":"\xff"}', b'{"tenant":"acme","a":"\xff"}'),
    ],
)
def test_an_event_without_a_tenant_gets_it_and_keeps_its_bytes(value: bytes, given: bytes) -> None:
    assert with_marks(value, Marks("acme")) == given


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (b'{"a":1}', b'{"tenant":"acme","correlationid":"order-17","traceparent":"00-a","a":1}'),
        (
            b'{"tenant":"acme","correlationid":null}',
            b'{"traceparent":"00-a","tenant":"acme","correlationid":null}',
        ),
        (b'{"traceparent":"x","tenant":"b"}', b'{"correlationid":"order-17","traceparent":"x","tenant":"b"}'),
    ],
)
def test_an_event_has_the_marks_of_its_request_where_it_has_none(value: bytes, given: bytes) -> None:
    assert with_marks(value, Marks("acme", "order-17", "00-a")) == given


def test_marks_make_no_event_too_large() -> None:
    marks, value = Marks("acme", "order-17"), b'{"a":1}'
    whole = with_marks(value, marks)
    assert with_marks(value, marks, len(whole)) == whole
    assert with_marks(value, marks, len(whole) - 1) == b'{"tenant":"acme","a":1}'


async def test_an_event_of_the_tenant_is_sent_as_it_came_under_its_account() -> None:
    submit, log, _ = submitting()
    value = encoded(body()).replace(b'{"spec', b'{  "spec')
    await submit.send(await submit.check("acme", [value]))
    assert [(each.key, each.value) for each in log.sent] == [(b"acme/external:bank", value)]


async def test_what_a_tenant_is_given_decodes_as_the_topic_decodes_it() -> None:
    submit, _, _ = submitting()
    [checked] = await submit.check("acme", events("e", tenant=None))
    assert decode_event(checked.value) == checked.event
    assert checked.event.tenant == "acme"


@pytest.mark.parametrize(
    "value",
    [
        encoded(body(tenant="globex")),
        encoded(body()).replace(b'"tenant": "acme"', b'"tenant": "acme", "tenant": "globex"'),
        encoded(body(tenant=None)).replace(b'"source"', b'"\\u0074enant": "globex", "source"'),
    ],
    ids=["named", "named twice", "named in escapes"],
)
async def test_another_tenants_event_is_refused(value: bytes) -> None:
    submit, log, _ = submitting()
    with pytest.raises(WrongTenantError, match="at 1"):
        await submit.check("acme", [*events("e"), value])
    assert log.sent == []


async def test_every_fault_of_a_batch_is_told() -> None:
    submit, _, _ = submitting()
    values = [
        *events("a"),
        b"{}",
        b"5",
        *events("b", id="no"),
        *events("c", event_type="x.v1"),
        *events("d", partitionkey=5),
    ]
    with pytest.raises(InvalidEventsError) as caught:
        await submit.check("acme", values)
    told = [(each.index, each.reason) for each in caught.value.faults]
    assert told == [
        (1, "invalid_envelope"),
        (2, "invalid_envelope"),
        (3, "invalid_envelope"),
        (4, "unknown_type"),
        (5, "invalid_envelope"),
    ]


async def test_one_id_with_two_contents_is_refused() -> None:
    submit, _, _ = submitting()
    with pytest.raises(InvalidEventsError) as caught:
        await submit.check("acme", [*events("a", "b"), *events("a", data={**TRANSFER, "amount": 2})])
    assert [each.index for each in caught.value.faults] == [2]
    assert isinstance(caught.value.faults[0], EventFault)
    assert caught.value.faults[0].reason == "event_id_reused"


async def test_the_same_event_twice_is_sent_once_and_answered_twice() -> None:
    submit, log, _ = submitting(answers=True)
    upper = encoded(body(name="a", id=event_id("a").upper()))
    notices = await submit.send(await submit.check("acme", [*events("a", "b"), upper]), 1.0)
    assert len(log.sent) == 2
    assert [each and each.event_id for each in notices] == [event_id("a"), event_id("b"), event_id("a")]


async def test_an_outcome_faster_than_the_acknowledgement_is_heard() -> None:
    submit, _, feed = submitting(answers=True)
    notices = await submit.send(await submit.check("acme", events(*range(250))), 1.0)
    assert None not in notices
    assert feed.waiting == 0


async def test_what_did_not_come_in_time_is_pending() -> None:
    submit, log, feed = submitting()
    checked = await submit.check("acme", events("a", "b"))
    told = asyncio.Event()
    sending = asyncio.create_task(submit.send(checked, 0.05, on_sent=told.set))
    await told.wait()
    feed.hear(Notice("acme", event_id("b"), "rejected", checked[1].event.fingerprint, NOW, (), b"{}"))
    notices = await sending
    assert [each and each.kind for each in notices] == [None, "rejected"]
    assert (len(log.sent), feed.waiting) == (2, 0)


@pytest.mark.parametrize("following", [True, False])
async def test_nobody_waits_for_a_feed_that_is_away_or_a_process_that_ends(following: bool) -> None:
    submit, _, _ = submitting(following=following)
    ending = asyncio.Event()
    ending.set()
    async with asyncio.timeout(5):
        sent = await submit.send(await submit.check("acme", events("a")), 60.0, interrupted=ending)
    assert sent == [None]


async def test_a_log_that_is_away_leaves_no_waiter() -> None:
    submit, log, feed = submitting()
    log.away = True
    with pytest.raises(LogAwayError):
        await submit.send(await submit.check("acme", events("a")), 60.0)
    assert feed.waiting == 0


async def test_depth_is_bounded() -> None:
    submit, _, _ = submitting()
    deep = json.dumps(body()).encode()[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(InvalidEventsError) as caught:
        await submit.check("acme", [deep])
    assert caught.value.faults[0].detail == "the record is nested too deeply"
