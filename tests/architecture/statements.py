"""Where SQL is put together from parts: values go as parameters, and a name comes from a constant of the code."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

RUNNERS = {
    *("execute", "executemany", "executescript", "exec_driver_sql", "text"),
    *("fetch", "fetchrow", "fetchval", "cursor", "prepare", "copy_from_query"),
}


class Composed(NamedTuple):
    """A statement that holds something else than constants."""

    line: int
    function: str
    part: str


def composed(module: ast.Module) -> Iterator[Composed]:
    """Find the calls that run a statement of which a part is no constant, nor read from a file of its own."""
    constants = _module_constants(module)
    for function, body in _functions(module):
        for node in body:
            if isinstance(node, ast.Call) and _runs(node) and node.args:
                for part in _unknown_parts(node.args[0], body, constants):
                    yield Composed(node.lineno, function, ast.unparse(part))


def _functions(module: ast.Module) -> Iterator[tuple[str, list[ast.AST]]]:
    """Give each function with the nodes of its own, and last the module without its functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, list(_own(node))
    yield "", list(_own(module))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _own(child)


def _runs(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr="text", value=ast.Name(id=module)):
            return module in ("sa", "sqlalchemy")
        case ast.Attribute(attr="text"):
            return False
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in RUNNERS
    return False


def _module_constants(module: ast.Module) -> set[str]:
    """Names that the module binds once, or imports: what they hold is written in the code."""
    bound = {
        target.id
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    imports = {
        name.asname or name.name
        for node in module.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    return {name for name in bound | imports if name.isupper() or name.lstrip("_").isupper()}


def _unknown_parts(part: ast.AST, body: list[ast.AST], constants: set[str]) -> Iterator[ast.AST]:
    """Give what is put into a text; a value that is handed over whole was made elsewhere, where this looks as well."""
    match part:
        case ast.JoinedStr(values=values):
            for value in values:
                if isinstance(value, ast.FormattedValue) and not _is_constant(value.value, constants):
                    yield value.value
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            for side in (left, right):
                if not _is_constant(side, constants):
                    yield from list(_unknown_parts(side, body, constants)) or [side]
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace")):
            yield part
        case ast.IfExp(body=one, orelse=other):
            yield from _unknown_parts(one, body, constants)
            yield from _unknown_parts(other, body, constants)
        case ast.Name(id=name):
            for value in _assigned(name, body):
                yield from _unknown_parts(value, [], constants)


def _assigned(name: str, body: list[ast.AST]) -> Iterator[ast.expr]:
    for node in body:
        if (
            isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr)
            and node.value is not None
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                yield node.value


def _is_constant(value: ast.AST, constants: set[str]) -> bool:
    match value:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in constants
        case ast.Call(func=ast.Name(id="sql")):
            return True  # a statement in a file of its own
    return False
