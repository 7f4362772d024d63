"""The checker of `make chaos` shares no code with what it checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

CHECKER = ROOT / "loadtests" / "chaos" / "checker"
FILES = sorted(CHECKER.glob("*.py"))
OWN = "loadtests.chaos.checker"
OURS = ("ledger", "streams", "migrations", "tests", "loadtests")


def foreign_imports(source: str) -> Iterator[str]:
    """Name what a module imports of this project beside the checker itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        else:
            continue
        yield from (
            name for name in names if name.split(".")[0] in (*OURS, "") and f"{name}.".find(f"{OWN}.") != 0
        )


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_checker_imports_nothing_of_the_ledger(path: Path) -> None:
    assert list(foreign_imports(path.read_text())) == []


def test_an_import_of_the_ledger_would_be_found() -> None:
    lines = ["import os", "import ledger.domain", "from streams import app", "from . import run"]
    source = "\n".join([*lines, "from loadtests.chaos import lag"])
    assert list(foreign_imports(source)) == ["ledger.domain", "streams", ".", "loadtests.chaos"]
