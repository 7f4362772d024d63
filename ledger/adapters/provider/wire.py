"""Answers of a provider over HTTP, and what they mean: whatever is odd is unknown."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple, TypeVar

import msgspec

from ledger.application.provider_messages import MessageRefusedError, Verdict, answer_of
from ledger.application.providers import (
    Answer,
    MoneyRequest,
    NotFound,
    Pending,
    RetryLater,
    StatusAnswer,
    Unknown,
)

T = TypeVar("T")

RETRY_AFTER_S_MAX = 24 * 3600.0
REFUSED_RETRY_S = 30.0
"""A provider that does not know us will not until somebody has seen to it: tries are not spent on that at once."""


class Reply(NamedTuple):
    """What came back: the status code, the header Retry-After, the whole body."""

    code: int
    retry_after: str | None
    body: bytes


class _Operation(Verdict, frozen=True, kw_only=True):
    key: str
    amount: int
    asset: str


class _Undecided(msgspec.Struct, frozen=True):
    key: str
    state: Literal["pending", "not_found"]


def encode_request(request: MoneyRequest) -> bytes:
    """Write a request as JSON: its members, but that the idempotency key is called `key`, and without nulls.

    Where it stands in a trace goes in a header.
    """
    members = msgspec.structs.asdict(request)
    del members["traceparent"]
    body = {"key": members.pop("idempotency_key"), **members}
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def read_answer(reply: Reply, request: MoneyRequest, now: datetime) -> Answer:
    """Read what became of a charge or refund: 200 and 422 hold verdicts, 202 says pending, 429 and 503 wait."""
    if (later := _later(reply, now)) is not None:
        return later
    try:
        return _verdict(reply, request)
    except MessageRefusedError as fault:
        return _unread(reply, fault)


def read_status(reply: Reply, request: MoneyRequest, now: datetime) -> StatusAnswer:
    """Read what became of a request: 200 holds its state, 404 with a body for its key says that it is not known."""
    if (later := _later(reply, now)) is not None:
        return later
    try:
        return _state(reply, request)
    except MessageRefusedError as fault:
        return _unread(reply, fault)


def _unread(reply: Reply, fault: MessageRefusedError) -> Unknown:
    """Tell of what is no answer. What a server in trouble says is not its own words, so its code alone tells."""
    return Unknown(f"the provider answered {reply.code}" if reply.code >= 500 else f"{reply.code}: {fault}")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read a header Retry-After, in seconds or as a date; None without one that can be understood."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return min(float(value[:9]), RETRY_AFTER_S_MAX)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is in UTC, as RFC 9110 has all of them.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), RETRY_AFTER_S_MAX)


def _later(reply: Reply, now: datetime) -> RetryLater | None:
    after_s = retry_after_s(reply.retry_after, now)
    if reply.code == 429 or (reply.code == 503 and after_s is not None):
        return RetryLater(f"the provider answered {reply.code}", after_s)
    if reply.code in (401, 403):
        after_s = REFUSED_RETRY_S if after_s is None else after_s
        return RetryLater(f"the provider does not know us: {reply.code}", after_s, counts=False)
    return None


def _verdict(reply: Reply, request: MoneyRequest) -> Answer:
    if reply.code == 202:
        _undecided(reply, request.idempotency_key, "pending")
        return Unknown("the provider has not decided")
    operation = _operation(reply, request)
    if reply.code != {"accepted": 200, "declined": 422}[operation.state]:
        raise MessageRefusedError(f"it says {operation.state}")
    return answer_of(operation)


def _state(reply: Reply, request: MoneyRequest) -> StatusAnswer:
    if reply.code == 404:
        _undecided(reply, request.idempotency_key, "not_found")
        return NotFound()
    if reply.code == 202:
        _undecided(reply, request.idempotency_key, "pending")
        return Pending()
    if reply.code != 200:
        raise MessageRefusedError("not an answer to a question for the status")
    return answer_of(_operation(reply, request))


def _undecided(reply: Reply, key: str, state: str) -> None:
    found = _decoded(reply.body, _Undecided)
    if (found.key, found.state) != (key, state):
        raise MessageRefusedError("an answer about something else")


def _operation(reply: Reply, request: MoneyRequest) -> _Operation:
    found = _decoded(reply.body, _Operation)
    if found.key != request.idempotency_key:
        raise MessageRefusedError("an answer about another key")
    if (found.amount, found.asset) != (request.amount, request.asset):
        raise MessageRefusedError("an answer about another amount")
    return found


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise MessageRefusedError(str(fault)) from fault
