"""Providers: how they are set for the tenant, and whether they are asked just now. Never their secrets."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer
from ledger.api.documented import READING, responses
from ledger.api.models import ProvidersAnswer
from ledger.api.parameters import EmptyQuery
from ledger.api.problems import NotAvailableError
from ledger.application.provider_reading import BreakerTold, ProviderShown, fresh_since

router = APIRouter(prefix="/v1/providers", tags=["payments"])


@router.get(
    "",
    operation_id="listProviders",
    summary="List providers",
    responses=responses(ProvidersAnswer, *READING, NotAvailableError, says="The providers of the tenant."),
)
async def list_providers(request: Request, caller: Reader, query: EmptyQuery) -> Response:
    """List the tenant's providers by name, each with the breakers of the workers that ask it."""
    services = services_of(request)
    if services.providers is None:
        raise NotAvailableError("Payments are not set up here.")
    reader = services.providers(caller.tenant_id)
    breakers = await reader.breakers(fresh_since(services.clock.now()))
    return answer({"items": [_members(each, breakers) for each in await reader.providers()]})


def _members(provider: ProviderShown, breakers: Sequence[BreakerTold]) -> dict[str, Any]:
    return {
        "name": provider.name,
        "url": provider.url,
        "when_down": provider.when_down,
        "breakers": [_breaker(each) for each in breakers if each.provider == provider.name],
    }


def _breaker(told: BreakerTold) -> dict[str, Any]:
    return {
        "worker": told.worker,
        "state": told.state,
        "since": told.since,
        "retry_at": told.retry_at,
        "calls": told.calls,
        "bad": told.bad,
        "told_at": told.told_at,
    }
