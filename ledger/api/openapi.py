"""The OpenAPI document of the application."""

from typing import Any

from fastapi import FastAPI

from ledger.api.models import Problem
from ledger.api.problems import CONTENT_TYPE

VERSION = "1.0.0"

DESCRIPTION = """\
Read the books, and send events to them. The tenant comes from the key. Amounts are integers of minor units, times are
RFC 3339 in UTC, errors are problem documents (RFC 9457) with a stable `code`. `docs/api.md` tells the rest.
"""

_TAGS = [
    {"name": "accounts", "description": "Accounts, balances, statements, windows."},
    {"name": "events", "description": "What was sent, and what became of it."},
    {"name": "transactions", "description": "What was posted."},
    {"name": "holds", "description": "Funds set aside."},
    {"name": "payments", "description": "Money that a provider moves, and where it is."},
    {"name": "trial balance", "description": "Everything together comes to zero."},
    {"name": "operations", "description": "Health and metrics; no key is needed."},
]

_OF_THE_FRAMEWORK = ("HTTPValidationError", "ValidationError")


class DocumentedApi(FastAPI):
    """An application whose document knows problems."""

    def openapi(self) -> dict[str, Any]:
        """Give the document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = _with_problems(super().openapi())
        return self.openapi_schema


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    document["info"] |= {
        "description": DESCRIPTION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    document["tags"] = _TAGS
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _OF_THE_FRAMEWORK:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas[Problem.__name__] = problem
    document["components"]["responses"] = _share_problems(document["paths"])
    return document


def _share_problems(paths: dict[str, Any]) -> dict[str, Any]:
    """Tell each answer that is the same for many operations once; gives those by their names."""
    shared: dict[str, Any] = {}
    for operation in (each for methods in paths.values() for each in methods.values()):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get(CONTENT_TYPE)
            if content is not None:
                name = "-".join((status, *content["examples"]))
                shared[name] = response
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))
