"""Whatever goes wrong is answered as a problem document: refusals, faults of services, and our own mistakes."""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.api.facts import facts_of
from ledger.api.problems import (
    CONTENT_TYPE,
    BooksAwayError,
    BooksSlowError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedProblemError,
    ProblemError,
)
from ledger.application.faults import OverloadedError, TooSlowError, TransientFaultError
from ledger.observability.signals import Signals

RETRY_AFTER = {"Retry-After": "1"}


def problem_response(problem: ProblemError, scope: Scope) -> Response:
    """Answer a request with a problem document, which names it as the log does."""
    document = problem.document(scope["path"]) | {"correlation_id": facts_of(scope).correlation_id}
    return Response(
        orjson.dumps(document),
        status_code=problem.status,
        headers=problem.headers,
        media_type=CONTENT_TYPE,
    )


def problem_of(error: Exception) -> ProblemError:
    """Say which problem an error is to the caller."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, OverloadedError):
        return OverloadedProblemError("Too many requests wait already.", headers=RETRY_AFTER)
    if isinstance(error, TooSlowError):
        return BooksSlowError("PostgreSQL did not answer in time.", headers=RETRY_AFTER)
    if isinstance(error, TransientFaultError):
        return BooksAwayError("PostgreSQL is away or refuses.", headers=RETRY_AFTER)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _of_routing(error)
    return ProblemError("The fault is logged under the correlation id.")


def _invalid(error: RequestValidationError) -> ProblemError:
    faults = [
        {
            "in": str(fault["loc"][0]),
            "name": ".".join(map(str, fault["loc"][1:])),
            "message": fault["msg"].removeprefix("Value error, "),
        }
        for fault in error.errors()
    ]
    return InvalidRequestError("; ".join(_told(fault) for fault in faults), errors=faults)


def _told(fault: dict[str, str]) -> str:
    return f"{fault['in']} {fault['name']}: {fault['message']}"


def _of_routing(error: HTTPException) -> ProblemError:
    if error.status_code == 404:
        return NotFoundError("No route leads here.")
    if error.status_code == 405:
        return MethodNotAllowedError("See the header Allow.", headers=error.headers)
    raise error


def add_problems(app: FastAPI) -> None:
    """Have the application answer every expected error with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(problem_of(error), request.scope)

    kinds = (ProblemError, OverloadedError, TransientFaultError, RequestValidationError, HTTPException)
    for kind in kinds:
        app.add_exception_handler(kind, answer)


class ProblemsOnly:
    """Middleware: what nobody expected is told to operators, and to the caller only as a number to name."""

    def __init__(self, app: ASGIApp, signals: Signals) -> None:
        self._app = app
        self._signals = signals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            await self._tell(error, scope, receive, send)

    async def _tell(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        problem = problem_of(error)
        facts = facts_of(scope)
        facts.is_told = True
        self._signals.emit(
            "request.failed",
            correlation_id=facts.correlation_id,
            traceparent=facts.traceparent,
            path=scope["path"],
            error=repr(error),
        )
        await problem_response(problem, scope)(scope, receive, send)


Handler = Callable[[Request, Exception], Any]
