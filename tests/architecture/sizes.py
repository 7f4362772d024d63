"""How long functions and files are: `python -m tests.architecture.sizes` prints the medians and the longest.

A function counts from its first statement after the docstring to its last line; a file counts its lines.
"""

import ast
import sys
from collections.abc import Iterator
from statistics import median, quantiles

from tests.architecture.tree import CODE, modules, parsed, shown

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400

Sizes = dict[str, int]


def function_sizes() -> Sizes:
    """Give the length of each function's body, by `path::name`."""
    return {
        f"{shown(path)}::{name}": lines
        for path in modules(*CODE)
        for name, lines in _functions(parsed(path), "")
    }


def file_sizes() -> Sizes:
    """Give the length of each Python file that is not empty."""
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*CODE)}
    return {path: lines for path, lines in lengths.items() if lines}


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, _body_lines(child)
            name += "."
        yield from _functions(child, name)


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def larger_than(sizes: Sizes, limit: int) -> Sizes:
    return {name: lines for name, lines in sizes.items() if lines > limit}


def report() -> str:
    """Write the medians, the ninth tenths, and the longest."""
    return "\n".join(
        f"{what}: {len(sizes)}, median {median(sizes.values()):g} lines, "
        f"nine of ten under {quantiles(sizes.values(), n=10)[-1]:.0f}, longest {_longest(sizes)}"
        for what, sizes in (("functions", function_sizes()), ("files", file_sizes()))
    )


def _longest(sizes: Sizes) -> str:
    name = max(sizes, key=lambda each: sizes[each])
    return f"{sizes[name]} ({name})"


if __name__ == "__main__":
    sys.stdout.write(report() + "\n")
