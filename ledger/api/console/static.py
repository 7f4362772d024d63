"""Files that are served as they are: scripts, styles, the icon; these and no others."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.console.pages import console_router, static_bytes, static_digest
from ledger.api.console.visitors import NotThereError

TYPES = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "theme.js": "text/javascript",
    "chart.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "uplot.min.js": "text/javascript",
    "uplot.min.css": "text/css",
    "icon.svg": "image/svg+xml",
}
FOR_A_YEAR = "public, max-age=31536000, immutable"
FOR_NOW = "no-cache"


def static_router() -> APIRouter:
    """Make the route."""
    router = console_router()
    router.get("/static/{name}")(static)
    return router


async def static(request: Request, name: str) -> Response:
    """Give a file; under the name of its content it is kept."""
    if name not in TYPES:
        raise NotThereError("There is no such file.")
    is_named = request.query_params.get("v") == static_digest(name)
    headers = {"Cache-Control": FOR_A_YEAR if is_named else FOR_NOW}
    return Response(static_bytes(name), media_type=f"{TYPES[name]}; charset=utf-8", headers=headers)
