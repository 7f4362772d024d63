"""Health: live, and ready. No key is needed."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.requests import Request

from ledger.api.access import services_of

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="Whether the process works", operation_id="isLive")
async def live() -> Any:
    """Answer that the process works."""
    return JSONResponse({"live": True})


@router.get("/ready", summary="Whether requests can be answered", operation_id="isReady")
async def ready(request: Request) -> Response:
    """Answer whether the books can be read and the process is not going."""
    services = services_of(request)
    is_ready = not services.draining.has_begun and await services.is_ready()
    return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)
