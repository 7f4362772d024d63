"""What a planted bug is: a change to the running code, and the tests of which at least one must fail with it."""

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Bug(NamedTuple):
    """One bug. `plant` changes the code of this process for good: call it in one that ends afterwards."""

    name: str
    plant: Callable[[], None]
    checks: tuple[str, ...]
    """Tests, as pytest names them."""


NOTHING = "nothing"


def nothing(bugs: Iterable[Bug]) -> Bug:
    """Give no bug at all, which none of the tests of these may catch."""
    checks = sorted({check for bug in bugs for check in bug.checks})
    return Bug(NOTHING, lambda: None, tuple(checks))


def replace(place: str, value: Any) -> None:
    """Put something in the place of `module:name` or `module:Class.name`."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    if not hasattr(owner, name):
        raise LookupError(f"there is no {place}")
    setattr(owner, name, value)


def found(place: str) -> Any:
    """Give what stands at `module:name`."""
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    for each in path.split("."):
        owner = getattr(owner, each)
    return owner


def replaced_sql(name: str, before: str, after: str) -> Callable[[], None]:
    """Give what plants another text of a statement; the text that it takes the place of must be there."""

    def plant() -> None:
        statements = importlib.import_module("ledger.adapters.postgres.statements")
        genuine = statements.sql
        text = genuine(name)
        if before not in text:
            raise LookupError(f"{before!r} is not in {name}")

        def sql(asked: str) -> str:
            return text.replace(before, after) if asked == name else str(genuine(asked))

        _everywhere("sql", genuine, sql)

    return plant


def _everywhere(name: str, genuine: Any, value: Any) -> None:
    for module in list(sys.modules.values()):
        if getattr(module, name, None) is genuine:
            setattr(module, name, value)
