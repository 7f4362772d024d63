"""Statements: the entries of an account, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer, entry_members
from ledger.api.documented import READING, link, responses
from ledger.api.models import StatementPage
from ledger.api.pages import AssetCode, Count, Cursors, Microseconds
from ledger.api.parameters import AccountInPath, StatementParameters, StatementQuery
from ledger.api.problems import AccountNotFoundError, InvalidCursorError, InvalidRangeError
from ledger.application.reading import EntryView, StatementPlace
from ledger.domain.moments import microseconds, moment_of

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


class _After(msgspec.Struct, array_like=True):
    posted_at_us: Microseconds
    asset: AssetCode
    version: Count


_cursors = Cursors("entries", _After)

_LINKS = {
    "Transaction": link("getTransaction", "What posted the newest.", transaction="items/0/transaction"),
    "Event": link("getEvent", "What asked for the newest.", event="items/0/transaction"),
}


@router.get(
    "/{account}/entries",
    operation_id="getStatement",
    summary="Read a statement",
    responses=responses(
        StatementPage,
        *READING,
        AccountNotFoundError,
        InvalidCursorError,
        InvalidRangeError,
        says="A page of entries.",
        links=_LINKS,
    ),
)
async def get_statement(
    request: Request, account: AccountInPath, caller: Reader, query: StatementQuery
) -> Response:
    """Read the entries of an account posted in [`from`, `to`), newest first.

    Pages are stable: what is posted meanwhile is newer than the first page, and moves nothing.
    """
    check_order(query.since, query.to)
    found = await services_of(request).history.statement(
        caller.tenant_id, account, query.asset, query.since, query.to, _place(account, query), query.limit + 1
    )
    if found is None:
        raise AccountNotFoundError(f"There is no account {account}.")
    items = [_entry(each) for each in found[: query.limit]]
    return answer({"items": items, "next_cursor": _next(account, query, found)})


def check_order(since: datetime | None, before: datetime | None) -> None:
    """Refuse a range that ends before it begins, or where it does."""
    if since is not None and before is not None and since >= before:
        raise InvalidRangeError("`from` is not before `to`.")


def _place(account: str, query: StatementParameters) -> StatementPlace | None:
    after = _cursors.read(query.cursor, account, query.asset, query.since, query.to)
    return (
        None if after is None else StatementPlace(moment_of(after.posted_at_us), after.asset, after.version)
    )


def _next(account: str, query: StatementParameters, found: Sequence[EntryView]) -> str | None:
    if len(found) <= query.limit:
        return None
    last = found[query.limit - 1]
    after = _After(microseconds(last.posted_at), last.asset, last.version)
    return _cursors.write(after, account, query.asset, query.since, query.to)


def _entry(entry: EntryView) -> dict[str, Any]:
    return {
        "transaction": entry.transaction,
        "type": entry.type,
        **entry_members(entry),
        "reference": entry.reference,
        "posted_at": entry.posted_at,
        "effective_at": entry.effective_at,
    }
