"""Who asks: the key in the header stands for a tenant and scopes; a tenant comes from nowhere else."""

from typing import Annotated, Any

from fastapi import Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from ledger.api.facts import facts_of
from ledger.api.problems import InsufficientScopeError, InvalidRequestError, UnauthenticatedError
from ledger.api.services import Services
from ledger.application.access import Caller, Scope


class KeyWithScope(SecurityBase):
    """A dependency that lets a caller in whose key has a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.scheme_name = "key"
        self.model: Any = HTTPBearer(description="A key of the ledger: `Authorization: Bearer lk_…`.")

    async def __call__(self, request: Request) -> Caller:
        services = services_of(request)
        caller = await services.keys.caller_of(_presented(request))
        if caller is None:
            raise UnauthenticatedError("The key is not known, was revoked, or is past its time.")
        facts = facts_of(request.scope)
        facts.tenant = caller.tenant
        if services.quotas is not None:
            services.quotas.admit_request(caller, facts)
        if self.scope not in caller.scopes:
            raise InsufficientScopeError(f"The key {caller.key_id} lacks the scope {self.scope}.")
        _refuse_repeats(request)
        return caller


def _refuse_repeats(request: Request) -> None:
    """Refuse a parameter that is given twice: whichever counted, the other would be passed over in silence."""
    given = [name for name, _ in request.query_params.multi_items()]
    if len(given) != len(set(given)):
        twice = sorted({name for name in given if given.count(name) > 1})
        errors = [{"in": "query", "name": name, "message": "It is given more than once."} for name in twice]
        raise InvalidRequestError("A parameter is given more than once.", errors=errors)


def services_of(request: Request) -> Services:
    """Give what the application stands on."""
    services: Services = request.app.state.services
    return services


def _presented(request: Request) -> str:
    """Read the key; exactly one Authorization header counts."""
    given = request.headers.getlist("authorization")
    if len(given) != 1:
        raise UnauthenticatedError("The header `Authorization: Bearer KEY` is missing.")
    kind, _, key = given[0].partition(" ")
    if kind.lower() != "bearer":
        raise UnauthenticatedError("The header Authorization is not `Bearer KEY`.")
    return key.strip(" ")


Reader = Annotated[Caller, Security(KeyWithScope("read"), scopes=["read"])]
Writer = Annotated[Caller, Security(KeyWithScope("write"), scopes=["write"])]
