"""What a query of Prometheus names: its metrics, and the labels that it asks of them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(r'"(?:\\.|[^"])*"|\[[^\]]*\]|[A-Za-z_:][A-Za-z0-9_:]*|\S')
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"])*)"')


class Selector(NamedTuple):
    """One metric as it is asked for."""

    metric: str
    labels: dict[str, tuple[str, str]]
    """By name: the operator and the value."""


class Query(NamedTuple):
    """What a query names."""

    selectors: list[Selector]
    grouped: set[str]


def parse(query: str) -> Query:
    """Read a query, as far as names go."""
    selectors, grouped = [], set()
    tokens = list(_TOKEN.finditer(query))
    index = 0
    while index < len(tokens):
        word = tokens[index][0]
        after = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        if word in _GROUPING and after == "(":
            index, names = _until(tokens, index + 1, ")")
            grouped |= {name for name in names if name.isidentifier()}
        elif after == "{" and _is_name(word):
            begin = tokens[index + 1].start()
            index, _ = _until(tokens, index + 1, "}")
            braces = query[begin : tokens[index].end()]
            labels = {name: (how, value) for name, how, value in _LABEL.findall(braces)}
            selectors.append(Selector(word, labels))
        elif _is_name(word) and after not in {"(", "by", "without"} and word.lower() not in _WORDS:
            selectors.append(Selector(word, {}))
        index += 1
    return Query(selectors, grouped)


def _is_name(word: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_:][A-Za-z0-9_:]*", word))


def _until(tokens: "list[re.Match[str]]", index: int, end: str) -> tuple[int, list[str]]:
    """Give where a bracket closes, and the words in it."""
    words = []
    while tokens[index][0] != end:
        words.append(tokens[index][0])
        index += 1
    return index, words


def legends(text: str) -> Iterator[str]:
    """Give the labels that a legend or an annotation shows."""
    yield from re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text)
