"""A page that lists the operations from the OpenAPI document; it loads nothing from elsewhere."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_POLICY = "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Give the page."""
    page = (files("ledger.api") / "docs.html").read_text(encoding="utf-8")
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})
