"""Accounts: settings, and a balance for each asset."""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import account_members, answer
from ledger.api.documented import READING, link, responses
from ledger.api.models import AccountAnswer, AccountsPage
from ledger.api.pages import Code, Cursors
from ledger.api.parameters import AccountInPath, AccountsQuery, EmptyQuery
from ledger.api.problems import AccountNotFoundError, InvalidCursorError

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


class _After(msgspec.Struct, array_like=True):
    code: Code


_cursors = Cursors("accounts", _After)

_TO_ACCOUNT = {"account": "account"}
_LINKS = {
    "Balance": link(
        "getBalance", "The balance of its first asset.", account="account", asset="balances/0/asset"
    ),
    "Statement": link("getStatement", "Its entries.", **_TO_ACCOUNT),
    "Windows": link("getWindows", "Its windows.", account="account", asset="balances/0/asset"),
}
_PAGE_LINKS = {
    "Account": link("getAccount", "The first of them.", account="items/0/account"),
    "NextPage": link("listAccounts", "The next page.", cursor="next_cursor"),
}


@router.get(
    "",
    operation_id="listAccounts",
    summary="List accounts",
    responses=responses(
        AccountsPage,
        *READING,
        InvalidCursorError,
        says="A page of accounts, each with its balances.",
        links=_PAGE_LINKS,
    ),
)
async def list_accounts(request: Request, caller: Reader, query: AccountsQuery) -> Response:
    """List the accounts whose code begins with `prefix`, in the order of their codes."""
    place = _cursors.read(query.cursor, query.prefix)
    after = None if place is None else place.code
    found = await services_of(request).history.accounts(
        caller.tenant_id, query.prefix, after, query.limit + 1
    )
    return answer(
        {
            "items": [account_members(each) for each in found[: query.limit]],
            "next_cursor": _next(found, query),
        }
    )


def _next(found: Any, query: AccountsQuery) -> str | None:
    if len(found) <= query.limit:
        return None
    return _cursors.write(_After(found[query.limit - 1].account), query.prefix)


@router.get(
    "/{account}",
    operation_id="getAccount",
    summary="Read an account",
    responses=responses(
        AccountAnswer,
        *READING,
        AccountNotFoundError,
        says="The account, with all its balances as of one moment.",
        links=_LINKS,
    ),
)
async def get_account(
    request: Request, account: AccountInPath, caller: Reader, query: EmptyQuery
) -> Response:
    """Read an account's settings and all its balances, as they are committed."""
    found = await services_of(request).balances.account(caller.tenant_id, account)
    if found is None:
        raise AccountNotFoundError(f"There is no account {account}.")
    return answer(account_members(found))
