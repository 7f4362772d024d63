"""The recipes do what they say: every command is run, and prints what the page kept."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, blocks, shown
from tests.end_to_end.command import Ledger
from tests.recipes import (
    OPTIONAL_TOOLS,
    PAGES,
    Step,
    environment_of,
    files_of,
    masked,
    run,
    steps_of,
    with_output,
)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the recipes are for people with curl")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    ledger = Ledger(tmp_path_factory.mktemp("recipes") / "state")
    try:
        yield environment_of(ledger)
    finally:
        ledger.run("down")


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_commands_print_what_the_page_kept(page: Path, environment: dict[str, str]) -> None:
    text = page.read_text(encoding="utf-8")
    steps = steps_of(text)
    assert len(steps) > 2
    assert [(each.command, masked(each.output)) for each in run(steps, environment, files_of(text))] == [
        (each.command, masked(each.output)) for each in steps
    ]


def test_the_program_of_the_readme_pays(environment: dict[str, str]) -> None:
    (program,) = blocks(ROOT / "README.md", "python")
    steps = [Step('python pay.py "$KAFKA"', "")]
    (done,) = run(steps, environment, {"pay.py": program})
    assert re.fullmatch(r"posted \[\('customer:bob', 3750\), \('merchant:shoes', \d+\)\]", done.output)


@pytest.mark.parametrize("tool", OPTIONAL_TOOLS)
def test_commands_of_a_tool_are_run_where_it_is(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"not run: the commands that need {tool}")
    steps = [step for page in PAGES for step in steps_of(page.read_text(encoding="utf-8"))]
    assert any(tool in step.command for step in steps)


def test_a_page_gets_the_output_that_differs() -> None:
    page = "a\n\n```console\n$ one\nid 00000000-0000-0000-0000-000000000000\n$ two\n> more\nold\n```\n"
    steps = [Step("one", "id 11111111-1111-1111-1111-111111111111"), Step("two\nmore", "new")]
    assert with_output(page, steps) == page.replace("old", "new")
