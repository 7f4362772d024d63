"""The runbook as a page, so that it is at hand where there is nothing but the API."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Any

from fastapi import APIRouter
from markdown_it import MarkdownIt
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

    Links to other documents, which are not served here, become text.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor_of(inline.content))
        if opening.type == "fence":
            opening.info = ""
    for token in tokens:
        token.children = [each for each in token.children or () if not _leads_elsewhere(each)]
        _close_links(token)
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - the parser escapes


def anchor_of(heading: str) -> str:
    """Name a heading as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _leads_elsewhere(token: Any) -> bool:
    return token.type == "link_open" and not str(token.attrGet("href")).startswith("#")


def _close_links(token: Any) -> None:
    """Drop the ends of links that are links no more."""
    kept, is_open = [], False
    for each in token.children:
        if each.type == "link_close" and not is_open:
            continue
        is_open = each.type == "link_open" or (is_open and each.type != "link_close")
        kept.append(each)
    token.children = kept or None
