"""The files of the project, and what the checks in this folder want to know of them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("ledger", "streams", "migrations")
CODE = (*PRODUCT, "loadtests", "tests")
FOLDERS = (*CODE, "docs")
TEXT = {"", ".py", ".md", ".toml", ".sql", ".yaml", ".json", ".mako", ".lock"}

_BLOCK = re.compile(r"^```(?P<language>\w*)[^\n`]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def shown(path: Path) -> str:
    """Write a path as a person looks for it."""
    return path.relative_to(ROOT).as_posix()


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    """Give the Python files under some folders."""
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), shown(path))


def text_files() -> Iterator[Path]:
    """Give every file that a person wrote or reads: code, documents, the files at the root."""
    for path in (*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))):
        if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
            yield path


@cache
def pages() -> tuple[Path, ...]:
    """Give the pages for people."""
    return (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Give the fenced blocks of a page in some languages."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if found["language"] in languages:
            yield found["text"]


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))
