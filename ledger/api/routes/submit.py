"""Submitting events: into Kafka, never into the books; who wants to may wait for the outcomes."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Writer, services_of
from ledger.api.answers import answer
from ledger.api.bodies import BATCH, ONE, read_events, wait_of
from ledger.api.documented import Responses, link, responses
from ledger.api.facts import facts_of
from ledger.api.models import Id, Model, OutcomeAnswer
from ledger.api.parameters import EmptyQuery
from ledger.api.problems import (
    BodyTooLargeError,
    InsufficientScopeError,
    InvalidEventsProblemError,
    InvalidRequestError,
    KafkaAwayError,
    MalformedJsonError,
    NotAvailableError,
    OverloadedProblemError,
    ProblemError,
    RateLimitedError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
    WrongTenantProblemError,
)
from ledger.application.faults import LogAwayError, RecordRefusedError
from ledger.application.outcome_feed import Notice, outcome_of
from ledger.application.submit_events import InvalidEventsError, Submission, WrongTenantError
from ledger.contract.dead_letter import DeadLetterReason
from ledger.contract.event_types import COMMANDS
from ledger.contract.examples import incoming_example
from ledger.contract.schemas import all_schemas

router = APIRouter(prefix="/v1/events", tags=["events"])

_LINKS = {"Event": link("getEvent", "What became of the first.", event="ids/0")}

WRITING = (
    MalformedJsonError,
    UnauthenticatedError,
    InsufficientScopeError,
    WrongTenantProblemError,
    BodyTooLargeError,
    UnsupportedMediaTypeError,
    InvalidEventsProblemError,
    InvalidRequestError,
    RateLimitedError,
    ProblemError,
    KafkaAwayError,
    NotAvailableError,
    OverloadedProblemError,
)


class Submitted(Model):
    """What Kafka holds now, and what has become of it so far."""

    ids: Annotated[list[Id], Field(description="Of the events, in their order.")]
    outcomes: Annotated[list[OutcomeAnswer], Field(description="Those that came in time, in that order.")]
    pending: Annotated[list[Id], Field(description="Those without an outcome yet: ask for them later.")]


def _event_schema() -> dict[str, Any]:
    """The contract's schemas of events, of which the tenant may be left out."""
    schemas = all_schemas()
    kinds = []
    for name in COMMANDS:
        schema = {key: value for key, value in schemas[name].items() if key != "$schema"}
        schema["required"] = [member for member in schema["required"] if member != "tenant"]
        kinds.append(_with_any_amount(schema))
    return {"oneOf": kinds}


def _with_any_amount(schema: Any) -> Any:
    """Leave the bounds of amounts out: one that is out of range is an event, which is handled and refused."""
    if isinstance(schema, list):
        return [_with_any_amount(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bounds = ("minimum", "maximum", "not") if "minor units" in str(schema.get("description")) else ()
    return {name: _with_any_amount(value) for name, value in schema.items() if name not in bounds}


def _body() -> dict[str, Any]:
    event, example = _event_schema(), incoming_example("transfer.post.v1")
    batch = {"type": "array", "items": event, "minItems": 1, "maxItems": 1000}
    return {
        "required": True,
        "content": {
            ONE: {"schema": event, "example": example},
            BATCH: {"schema": batch, "example": [example]},
        },
    }


def _prefer() -> dict[str, Any]:
    return {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "`wait=S`: answer with the outcomes, after at most S seconds, 30 at most (RFC 7240).",
        "schema": {"type": "string"},
        "example": "wait=10",
    }


def _documented() -> Responses:
    documented = responses(Submitted, *WRITING, says="All outcomes came in time.", links=_LINKS)
    documented[202] = {
        "model": Submitted,
        "description": "Kafka holds the events; not all outcomes are known yet.",
        "links": _LINKS,
    }
    return documented


@router.post(
    "",
    operation_id="submitEvents",
    summary="Submit events",
    status_code=200,
    responses=_documented(),
    openapi_extra={"requestBody": _body(), "parameters": [_prefer()]},
)
async def submit_events(request: Request, caller: Writer, query: EmptyQuery) -> Response:
    """Submit one event or a batch. All are checked first, and none is sent if one is wrong.

    The id is the idempotency key: sending an event again is safe, and answers with the outcome it had. An event
    without a tenant gets that of the key; one without a `correlationid` or a `traceparent` those of the request.
    """
    services = services_of(request)
    submit, facts = services.submit, facts_of(request.scope)
    if submit is None:
        raise NotAvailableError("Events are not taken here.")
    values, is_single = await read_events(request, services.settings.api_events_max)
    if services.quotas is not None:
        services.quotas.admit_events(caller, len(values), facts)
    try:
        submissions = await submit.check(
            caller.tenant, values, correlation_id=facts.correlation_id, traceparent=facts.traceparent
        )
        wait_s = wait_of(request)
        notices = await submit.send(
            submissions, wait_s or 0, on_sent=facts.release, interrupted=services.draining.begun
        )
    except InvalidEventsError as invalid:
        raise _invalid(invalid, is_single) from invalid
    except WrongTenantError as wrong:
        raise WrongTenantProblemError(f"{wrong}.") from wrong
    except LogAwayError as away:
        detail = f"{away}. Some may have been written: sending the same events again is safe."
        raise KafkaAwayError(detail, headers={"Retry-After": "2"}) from away
    except RecordRefusedError as refused:
        raise BodyTooLargeError(f"{refused}.") from refused
    return _answer(submissions, notices, wait_s, is_single)


def _invalid(invalid: InvalidEventsError, is_single: bool) -> ProblemError:
    first = invalid.faults[0]
    if is_single and first.reason == DeadLetterReason.MALFORMED_JSON:
        return MalformedJsonError(first.detail)
    if is_single and first.reason == DeadLetterReason.TOO_LARGE:
        return BodyTooLargeError(f"The event: {first.detail}.")
    faults = [{"index": each.index, "reason": each.reason, "detail": each.detail} for each in invalid.faults]
    detail = f"{len(faults)} of the events cannot be accepted; the first is at {first.index}: {first.detail}"
    return InvalidEventsProblemError(detail, faults=faults)


def _answer(
    submissions: Sequence[Submission], notices: Sequence[Notice | None], wait_s: int | None, is_single: bool
) -> Response:
    ids = [each.event.id for each in submissions]
    document = {
        "ids": ids,
        "outcomes": [outcome_of(notice) for notice in notices if notice is not None],
        "pending": [event for event, notice in zip(ids, notices, strict=True) if notice is None],
    }
    response = answer(document, 202 if document["pending"] else 200)
    if is_single:
        response.headers["Location"] = f"/v1/events/{ids[0]}"
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    return response
