"""A balance: from the books, from the cache, or as the stream knows it."""

from datetime import datetime
from math import ceil
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer, balance_members
from ledger.api.documented import READING, link, responses
from ledger.api.models import Balance
from ledger.api.parameters import AccountInPath, BalanceQuery
from ledger.api.problems import AccountNotFoundError, InvalidRangeError, NotAvailableError
from ledger.api.services import Services
from ledger.application.access import Caller
from ledger.application.reading import BalanceView
from ledger.application.stream_reading import BalanceOf

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

_LINKS = {
    "Statement": link("getStatement", "The entries behind it.", account="account", asset="asset"),
    "Windows": link("getWindows", "How it went.", account="account", asset="asset"),
    "Account": link("getAccount", "The account.", account="account"),
}


@router.get(
    "/{account}/balance",
    operation_id="getBalance",
    summary="Read a balance",
    responses=responses(
        Balance,
        *READING,
        AccountNotFoundError,
        InvalidRangeError,
        NotAvailableError,
        says="The balance, where it was read, and how old it may be.",
        links=_LINKS,
    ),
)
async def get_balance(
    request: Request, account: AccountInPath, caller: Reader, query: BalanceQuery
) -> Response:
    """Read a balance with a consistency that you choose.

    `strong` reads the books. `cached` may be some seconds old and says how old. `eventual` is what the stream
    knows. `at` gives the balance as it stood at a time. An asset that the account never had is zero, at version 0.
    """
    services = services_of(request)
    if query.consistency == "strong":
        document = await _strong(services, caller, account, query.asset, query.at)
    elif query.at is not None:
        raise InvalidRangeError("`at` goes with the consistency strong only.")
    elif query.consistency == "cached":
        document = await _cached(services, caller, account, query.asset)
    else:
        document = await _eventual(services, caller, account, query.asset)
    if document is None:
        raise AccountNotFoundError(f"There is no account {account}.")
    return answer(document)


async def _strong(
    services: Services, caller: Caller, account: str, asset: str, at: datetime | None
) -> dict[str, Any] | None:
    if at is None:
        view = await services.balances.balance(caller.tenant_id, account, asset)
    elif at > services.clock.now():
        raise InvalidRangeError("`at` is in the future.")
    else:
        view = await services.balances.balance_at(caller.tenant_id, account, asset, at)
    return None if view is None else _document(view, "strong", "database", 0)


async def _cached(services: Services, caller: Caller, account: str, asset: str) -> dict[str, Any] | None:
    if services.cached is None:
        raise NotAvailableError("Cached balances are not served here.")
    served = await services.cached.balance(caller.tenant, (caller.tenant_id, account, asset))
    return (
        None if served is None else _document(served.view, "cached", served.source, ceil(served.age_s * 1000))
    )


async def _eventual(services: Services, caller: Caller, account: str, asset: str) -> dict[str, Any] | None:
    if services.eventual is None:
        raise NotAvailableError("What the stream knows is not served here.")
    found = await services.eventual(caller.tenant_id, BalanceOf(caller.tenant, account, asset))
    return None if found is None else _document(found.view, "eventual", found.source, found.age_ms)


def _document(view: BalanceView, consistency: str, source: str, age_ms: int) -> dict[str, Any]:
    return {
        "account": view.account,
        **balance_members(view),
        "as_of": view.as_of,
        "consistency": consistency,
        "source": source,
        "age_ms": age_ms,
    }
