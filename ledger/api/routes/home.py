"""The address without a path leads whoever opens it in a browser to the console."""

from fastapi import APIRouter
from starlette.responses import RedirectResponse

from ledger.api.sessions import PATH

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home() -> RedirectResponse:
    """Lead to the console."""
    return RedirectResponse(PATH)
