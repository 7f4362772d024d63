"""What fuzzing knows of the API beyond its schema; schemathesis.toml names it."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response

MEANT = {"invalid_cursor", "invalid_range"}
"""Refusals of what a schema cannot say."""
MEANT_FAULTS = (
    "ISO 4217",
    "U+0000",
    "this id stands for an event with other content",
    "is not between the years 1 and 9999 in UTC",
)
"""Faults that it cannot say either."""


@schemathesis.check
def refuses_what_is_valid_only_for_its_meaning(
    context: CheckContext, response: Response, case: "Case[Any]"
) -> bool | None:
    """Where the schema is kept to, only cursors and times may be wrong, the scale of a currency, ids used twice."""
    if (
        response.status_code != 422
        or case.meta is None
        or case.meta.generation.mode != GenerationMode.POSITIVE
    ):
        return None
    problem = response.json()
    faults = [str(fault.get("message", "")) for fault in problem.get("errors", ())]
    faults += [str(fault.get("detail", "")) for fault in problem.get("faults", ())]
    if problem["code"] in MEANT or (faults and all(_is_meant(fault) for fault in faults)):
        return None
    raise AssertionError(f"schema-valid, but refused with {problem['code']}: {problem['detail']} {faults}")


def _is_meant(fault: str) -> bool:
    return any(meant in fault for meant in MEANT_FAULTS)


@schemathesis.hook
def map_body(context: HookContext, body: Any) -> Any:
    """Write whole numbers as integers: to JSON Schema 1.0 is one, to the contract it is no amount."""
    if isinstance(body, dict):
        return {name: map_body(context, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body
