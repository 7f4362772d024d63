"""The house rules as functions of one module's tree; each gives the lines that break it, with what they do."""

import ast
from collections.abc import Iterator

Found = Iterator[tuple[int, str]]

SLEEP_S_MAX = 1.0

_IO_CALLS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "touch", "rmtree",
    "connect", "create_pool", "create_async_engine", "socket", "urlopen", "Popen", "run", "check_output", "system",
    "AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaClient", "EmbeddedStack", "Settings", "sleep",
}  # fmt: skip


def asserts(module: ast.Module) -> Found:
    """Invariants are always on: `python -O` takes an assert away, a raise stays."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert"


def swallowed_errors(module: ast.Module) -> Found:
    """A fault is handled, told or raised again; never passed over."""
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "bare except"
            elif _is_broad(node.type) and not _says_something(node.body):
                yield node.lineno, "a broad except that neither tells nor raises"
            elif all(isinstance(each, ast.Pass) or _is_ellipsis(each) for each in node.body):
                yield node.lineno, "an error passed over; contextlib.suppress says so in a word"
        elif isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(map(_is_broad, node.args)):
            yield node.lineno, "suppresses everything"


def module_level_io(module: ast.Module) -> Found:
    """Importing a module opens, reads, starts and connects nothing."""
    for node in _run_at_import(module):
        if isinstance(node, ast.Call) and _name(node.func) in _IO_CALLS:
            yield node.lineno, f"{_name(node.func)}() at import"


def long_sleeps(module: ast.Module) -> Found:
    """A test that waits polls for what it waits for."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and _name(node.func) == "sleep":
            given = node.args[0] if node.args else None
            seconds = given.value if isinstance(given, ast.Constant) else 0
            if isinstance(seconds, int | float) and seconds >= SLEEP_S_MAX:
                yield node.lineno, f"sleeps for {seconds} s"


def missing_docstring(module: ast.Module) -> Found:
    """A module opens with one sentence that says what it is."""
    if module.body and ast.get_docstring(module) is None:
        yield 1, "no docstring"


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_main_guard(child):
            continue
        yield child
        yield from _run_at_import(child)


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _is_broad(node: ast.expr) -> bool:
    caught = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(_name(each) in ("Exception", "BaseException") for each in caught)


def _says_something(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, ast.Raise | ast.Call) for each in body for node in ast.walk(each))


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def _name(node: ast.expr) -> str:
    """Give the last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
