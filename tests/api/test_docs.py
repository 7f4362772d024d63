"""What docs/api.md and the OpenAPI document say is what the code does."""

import json
import re
from typing import Any

import pytest
from fastapi.routing import APIRoute

from ledger.api import problems
from ledger.api.app import create_app
from ledger.api.problems import ProblemError
from tests.api.world import World
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))

OPERATIONS = [
    (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
each_operation = pytest.mark.parametrize(
    "operation", [each[2] for each in OPERATIONS], ids=[f"{each[0]} {each[1]}" for each in OPERATIONS]
)


def every_problem() -> set[tuple[str, int]]:
    kinds = [each for each in vars(problems).values() if isinstance(each, type)]
    return {(kind.code, kind.status) for kind in kinds if issubclass(kind, ProblemError)}


def test_every_error_is_told_and_no_other() -> None:
    told = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert {(code, int(status)) for code, status in told} == every_problem()
    assert len(told) == len(every_problem())


def test_every_error_but_those_of_routing_is_told_by_some_operation() -> None:
    told = {
        code
        for response in DOCUMENT["components"]["responses"].values()
        for content in response["content"].values()
        for code in content["examples"]
    }
    assert {code for code, _ in every_problem()} - told == {
        "not_found",
        "method_not_allowed",
        "malformed_request",
    }


def test_every_route_stands_in_the_document_and_so_is_fuzzed() -> None:
    routers = [getattr(each, "original_router", None) for each in create_app(World().services()).routes]
    inner = [route for router in routers if router is not None for route in router.routes]
    routes = [route for route in inner if isinstance(route, APIRoute)]
    served = {(method.lower(), route.path) for route in routes for method in route.methods or ()}
    told = {(method, path) for method, path, _ in OPERATIONS}
    assert {path for _, path in served - told} == {"/docs", "/metrics"}


@each_operation
def test_an_operation_tells_what_it_is(operation: dict[str, Any]) -> None:
    assert operation["summary"] and operation["description"] and operation["operationId"]  # noqa: PT018


def test_operations_have_names_of_their_own() -> None:
    names = [each["operationId"] for _, _, each in OPERATIONS]
    assert len(set(names)) == len(names)


@each_operation
def test_a_link_leads_to_an_operation_and_names_its_parameters(operation: dict[str, Any]) -> None:
    parameters = {
        each["operationId"]: {parameter["name"] for parameter in each.get("parameters", ())}
        for _, _, each in OPERATIONS
    }
    for response in operation["responses"].values():
        for link in response.get("links", {}).values():
            assert link["parameters"].keys() <= parameters[link["operationId"]]


@each_operation
def test_a_parameter_tells_what_it_means(operation: dict[str, Any]) -> None:
    assert [each["name"] for each in operation.get("parameters", ()) if not each.get("description")] == []


def test_what_needs_a_key_says_which_scope() -> None:
    scopes = {
        path: [scope for each in operation.get("security", ()) for scope in each["key"]]
        for _, path, operation in OPERATIONS
    }
    assert {path for path, needed in scopes.items() if not needed} == {
        "/health/live",
        "/health/ready",
        "/v1/providers/{provider}/webhooks",
    }
    assert scopes["/v1/events"] == ["write"]
    assert scopes["/v1/accounts/{account}/balance"] == ["read"]
