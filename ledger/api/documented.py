"""What the OpenAPI document says of errors and of the links between operations."""

from collections.abc import Mapping
from typing import Any

from ledger.api.models import Problem
from ledger.api.problems import (
    CONTENT_TYPE,
    BooksAwayError,
    BooksSlowError,
    InsufficientScopeError,
    InvalidRequestError,
    OverloadedProblemError,
    ProblemError,
    RateLimitedError,
    UnauthenticatedError,
)

Responses = dict[int | str, dict[str, Any]]

READING = (
    UnauthenticatedError,
    InsufficientScopeError,
    InvalidRequestError,
    RateLimitedError,
    ProblemError,
    BooksAwayError,
    BooksSlowError,
    OverloadedProblemError,
)
"""What any read may answer instead."""


def responses(
    model: Any, *problems: type[ProblemError], says: str, links: Mapping[str, Any] | None = None
) -> Responses:
    """Document what a route answers: its model, and its problems by status."""
    good: dict[str, Any] = {"model": model, "description": says, **({"links": links} if links else {})}
    documented: Responses = {200: good}
    for status in sorted({problem.status for problem in problems}):
        documented[status] = _problems([problem for problem in problems if problem.status == status])
    return documented


def _problems(problems: list[type[ProblemError]]) -> dict[str, Any]:
    examples = {
        problem.code: {"summary": problem.title, "value": problem("…").document("/v1/…")}
        for problem in problems
    }
    body = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}, "examples": examples}
    titles = "; ".join(f"`{problem.code}`: {problem.title}" for problem in problems)
    headers: dict[str, Any] = {}
    if problems[0].status == 401:
        headers["WWW-Authenticate"] = _header("How to say who asks.")
    if problems[0].status in (429, 503):
        headers["Retry-After"] = _header("Seconds after which it is worth asking again.")
    return {
        "description": titles,
        "content": {CONTENT_TYPE: body},
        **({"headers": headers} if headers else {}),
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def link(operation: str, description: str, **parameters: str) -> dict[str, Any]:
    """Say that an answer leads to another operation, and where in it the parameters stand."""
    return {
        "operationId": operation,
        "description": description,
        "parameters": {name: f"$response.body#/{pointer}" for name, pointer in parameters.items()},
    }
