"""What fuzzing knows of the API beyond its schema; schemathesis.toml names it."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, Response

MEANT = {"invalid_cursor", "invalid_range"}
"""Refusals of what a schema cannot say."""


@schemathesis.check
def refuses_what_is_valid_only_for_its_meaning(
    context: CheckContext, response: Response, case: "Case[Any]"
) -> bool | None:
    """Where the schema is kept to, only cursors and times may be wrong, and the scale of a currency."""
    if (
        response.status_code != 422
        or case.meta is None
        or case.meta.generation.mode != GenerationMode.POSITIVE
    ):
        return None
    problem = response.json()
    scales = all("ISO 4217" in fault["message"] for fault in problem.get("errors", ()))
    is_of_events = case.method == "POST"
    if problem["code"] in MEANT or is_of_events or (problem.get("errors") and scales):
        return None
    raise AssertionError(f"schema-valid, but refused with {problem['code']}: {problem['detail']}")
