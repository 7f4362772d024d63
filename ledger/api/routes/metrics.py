"""Metrics, as Prometheus reads them. No key is needed."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import services_of
from ledger.api.problems import NotFoundError

router = APIRouter(tags=["health"])


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Give what was counted."""
    counted = services_of(request).metrics
    if counted is None:
        raise NotFoundError("Nothing is counted here.")
    return Response(generate_latest(counted.registry), media_type=CONTENT_TYPE_LATEST)
