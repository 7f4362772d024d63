"""The runbook as a page, so that it is at hand where there is nothing but the API."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from fastapi import APIRouter
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.console.pages import console_router, page
from ledger.api.console.visitors import console_of, visitor_of


def runbook_router() -> APIRouter:
    """Make the route."""
    router = console_router()
    router.get("/runbook")(show)
    return router


async def show(request: Request) -> Response:
    """Show the runbook."""
    visitor = await visitor_of(request, needs_books=False)
    return page(request, "runbook.html", visitor, text=html_of(console_of(request).runbook()))


@lru_cache(maxsize=2)
def html_of(markdown: str) -> Markup:
    """Make a page of Markdown: tags in it are text, headings get the anchors that GitHub gives them.

    Other documents are not served here: a link to one becomes text, with where it is read after it.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor_of(inline.content))
        if opening.type == "fence":
            opening.info = ""
    for token in tokens:
        token.children = list(_without_links_elsewhere(token.children or ())) or None
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - the parser escapes


def anchor_of(heading: str) -> str:
    """Name a heading as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _without_links_elsewhere(children: Iterable[Token]) -> Iterator[Token]:
    document: str | None = None
    for each in children:
        if each.type == "link_open" and (document := _document_of(str(each.attrGet("href")))):
            continue
        if each.type == "link_close" and document:
            yield Token("text", "", 0, content=f" ({document})")
            document = None
            continue
        yield each


def _document_of(href: str) -> str | None:
    """Name what a link of the runbook leads to, a document from the root of the sources; None: the runbook."""
    if "://" in href:
        return href
    path = href.partition("#")[0]
    return posixpath.normpath(posixpath.join("docs", path)) if path else None
