"""What CONTRIBUTING.md asks of the code, as far as a machine can tell."""

import ast
import re
from collections.abc import Callable

import pytest

from tests.architecture import rules
from tests.architecture.tree import CODE, PRODUCT, modules, parsed, shown, text_files

# A probe that fails is a "no": whatever is wrong with a server that starts, it is not ready.
SUPPRESSES_ALL = {"streams/embedded/part.py"}
# How long a fault lasts is not a wait for something.
SCHEDULES_OF_FAULTS = {"tests/end_to_end/test_transport_workers.py"}

_ABSENT = {
    "unfinished work": re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b"),
    "a path of one machine": re.compile(r"(?<![\w.])(?:/work|/home/\w+|/Users/\w+|[A-Z]:\\\w+)/"),
    "a host of a package registry": re.compile(
        r"(?i)py" r"pi\.org|python" r"hosted\.org|npm" r"js\.(?:org|com)|maven" r"\.(?:apache\.)?org"
        r"|repo1?\.mav" r"en|proxy\.gol" r"ang|crates" r"\.io|art" r"ifactory"
    ),
}  # fmt: skip

Rule = Callable[[ast.Module], rules.Found]


def broken(rule: Rule, *folders: str) -> list[str]:
    return [
        f"{shown(path)}:{line}: {what}" for path in modules(*folders) for line, what in rule(parsed(path))
    ]


def except_in(paths: set[str], found: list[str]) -> list[str]:
    return [each for each in found if each.partition(":")[0] not in paths]


def test_product_code_raises_and_never_asserts() -> None:
    assert broken(rules.asserts, *PRODUCT) == []


def test_no_error_is_swallowed() -> None:
    assert except_in(SUPPRESSES_ALL, broken(rules.swallowed_errors, *PRODUCT)) == []


def test_importing_a_module_does_nothing_else() -> None:
    assert broken(rules.module_level_io, *PRODUCT) == []


def test_tests_poll_rather_than_sleep() -> None:
    assert except_in(SCHEDULES_OF_FAULTS, broken(rules.long_sleeps, "tests")) == []


def test_every_module_opens_with_a_sentence() -> None:
    assert broken(rules.missing_docstring, *CODE) == []


@pytest.mark.parametrize("what", _ABSENT)
def test_no_text_holds(what: str) -> None:
    found = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if _ABSENT[what].search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (rules.asserts, "def f(x):\n    assert x"),
        (rules.swallowed_errors, "try:\n    f()\nexcept:\n    raise"),
        (rules.swallowed_errors, "try:\n    f()\nexcept Exception:\n    x = 1"),
        (rules.swallowed_errors, "try:\n    f()\nexcept KeyError:\n    pass"),
        (rules.swallowed_errors, "with suppress(BaseException):\n    f()"),
        (rules.module_level_io, "x = Path('a').read_text()"),
        (rules.module_level_io, "class A:\n    x = open('a')"),
        (rules.long_sleeps, "async def f():\n    await asyncio.sleep(1)"),
        (rules.missing_docstring, "x = 1"),
    ],
)
def test_a_rule_finds_what_breaks_it(rule: Rule, code: str) -> None:
    assert [what for _, what in rule(ast.parse(code))] != []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (rules.swallowed_errors, "try:\n    f()\nexcept Exception:\n    log.exception('no')"),
        (rules.swallowed_errors, "with suppress(KeyError):\n    f()"),
        (rules.module_level_io, "def f():\n    return open('a')"),
        (rules.module_level_io, "if __name__ == '__main__':\n    run()"),
        (rules.long_sleeps, "time.sleep(0.1)"),
        (rules.missing_docstring, ""),
    ],
)
def test_a_rule_lets_the_rest_pass(rule: Rule, code: str) -> None:
    assert list(rule(ast.parse(code))) == []
