"""SQL takes values as parameters only; the few names that are put into statements stand here with their reasons."""

import ast

import pytest

from tests.architecture.statements import composed
from tests.architecture.tree import PRODUCT, modules, parsed, shown

KNOWN = {
    ("migrations/indexes.py", "_make", "name"): "the name of an index, from a list in that file",
    ("migrations/run.py", "_upgrade", "schema"): "quoted; checked where it is given: letters, digits, _",
    ("streams/doctor/books.py", "_revision", "table"): "the same setting, quoted",
    ("streams/doctor/books.py", "_roles", "role"): "one of two constants, given by who calls it",
    ("streams/replay/alone.py", "alone_in", "run"): "a number that was drawn on the spot",
}
"""By file, function and part: why it can hold nothing of a stranger's."""


def found() -> set[tuple[str, str, str]]:
    return {
        (shown(path), each.function, each.part)
        for path in modules(*PRODUCT)
        for each in composed(parsed(path))
    }


def test_no_statement_is_put_together_from_values() -> None:
    assert found() - KNOWN.keys() == set()


def test_what_is_known_is_still_there() -> None:
    assert KNOWN.keys() - found() == set()


@pytest.mark.parametrize(
    "code",
    [
        "async def f(c, x): await c.execute(f'select {x}')",
        "async def f(c, x): await c.fetch('select ' + x)",
        "async def f(c, x): await c.fetchval('select %s' % x)",
        "async def f(c, x): await c.fetchrow('select {}'.format(x))",
        "async def f(c, x): await c.fetchrow(' or '.join(x))",
        "async def f(c, x):\n    query = f'select {x}'\n    await c.fetch(query)",
        "async def f(c, x):\n    query = 'select 1'\n    query += f' where {x}'\n    await c.fetch(query)",
        "def f(c, x): c.execute(text(f'select {x}'))",
        "async def f(c, x, y): await c.execute(f'select {x}' if y else 'select 1')",
        "class A:\n    async def f(self): await self.c.execute(f'set role {self.role}')",
        "c.execute(f'select {x}')",
    ],
)
def test_a_statement_of_parts_is_found(code: str) -> None:
    assert list(composed(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "async def f(c, x): await c.execute('select $1', x)",
        "async def f(c, x): await c.execute(sql('read'), x)",
        "COLUMNS = 'a, b'\nasync def f(c): await c.fetch(f'select {COLUMNS} from t')",
        "from a import ROLE\nasync def f(c): await c.execute(f'set role {ROLE}')",
        "async def f(c, x):\n    query = 'select $1'\n    await c.fetch(query, x)",
        "def f(x): return f'select {x}'.format(x)",
    ],
)
def test_a_statement_with_parameters_passes(code: str) -> None:
    assert list(composed(ast.parse(code))) == []
