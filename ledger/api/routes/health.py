"""Health: live, and ready. No key is needed."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import services_of
from ledger.api.answers import answer
from ledger.api.models import Health, Readiness

router = APIRouter(prefix="/health", tags=["operations"])

_UNREADY = {"model": Readiness, "description": "The books cannot be read, or the process is stopping."}


@router.get(
    "/live",
    operation_id="isLive",
    summary="Tell whether the process works",
    responses={200: {"model": Health, "description": "It works."}},
)
async def live() -> Response:
    """Answer, which shows that the process works."""
    return answer({"live": True})


@router.get(
    "/ready",
    operation_id="isReady",
    summary="Tell whether requests can be answered",
    responses={200: {"model": Readiness, "description": "They can."}, 503: _UNREADY},
)
async def ready(request: Request) -> Response:
    """Tell whether the books can be read and the process is not stopping."""
    services = services_of(request)
    is_ready = not services.draining.has_begun and await services.is_ready()
    return answer({"ready": is_ready}, 200 if is_ready else 503)
