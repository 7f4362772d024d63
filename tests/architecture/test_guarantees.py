"""Every promise names tests, and each of them is there."""

import ast
import re

import pytest

from tests.architecture.tree import ROOT, parsed

PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
INVARIANTS = set("ZOLBWSRPVT")
_TEST = re.compile(r"`((?:tests|loadtests)/[\w/]+\.py)(?:::(\w+))?`")


def promises() -> list[list[str]]:
    """Give the rows of the table of promises: the letter, the promise, its tests."""
    table = PAGE.partition("## What is promised\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line
    ]
    return rows[2:]


def named_tests(text: str) -> list[tuple[str, str]]:
    return [(path, name) for path, name in _TEST.findall(text)]


def is_there(path: str, name: str) -> bool:
    file = ROOT / path
    if not file.exists():
        return False
    functions = {
        each.name
        for each in ast.walk(parsed(file))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    return not name or name in functions


def test_every_invariant_is_promised() -> None:
    assert {row[0] for row in promises()} - {""} == INVARIANTS


@pytest.mark.parametrize("row", promises(), ids=lambda row: row[1][:20])
def test_a_promise_names_tests_that_are_there(row: list[str]) -> None:
    named = named_tests(row[2])
    assert named
    assert [each for each in named if not is_there(*each)] == []


def test_every_named_test_is_there() -> None:
    assert [each for each in named_tests(PAGE) if not is_there(*each)] == []


@pytest.mark.parametrize(
    "text", ["`tests/nowhere.py`", "`tests/architecture/test_guarantees.py::test_that_is_not`"]
)
def test_one_that_is_not_there_is_found(text: str) -> None:
    assert [each for each in named_tests(text) if not is_there(*each)] != []
