"""Windows: what the entries of each minute, hour or day come to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer
from ledger.api.documented import READING, responses
from ledger.api.models import WindowsPage
from ledger.api.pages import Cursors, Seconds
from ledger.api.parameters import AccountInPath, WindowsParameters, WindowsQuery
from ledger.api.problems import (
    AccountNotFoundError,
    InvalidCursorError,
    InvalidRangeError,
    NotAvailableError,
)
from ledger.application.read_windows import SourcedWindow, WindowRange
from ledger.application.stream_reading import BalanceOf
from ledger.domain.moments import microseconds
from ledger.domain.window import WindowSize, start_of

WINDOWS_DEFAULT = 100
"""Without `from`, so many windows up to `to`."""

WINDOWS_MAX = 20_000
"""A range may hold so many windows: two weeks of minutes."""

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


class _From(msgspec.Struct, array_like=True):
    first: Seconds
    before: Seconds


_cursors = Cursors("windows", _From)


@router.get(
    "/{account}/windows",
    operation_id="getWindows",
    summary="Read windows of a balance",
    responses=responses(
        WindowsPage,
        *READING,
        AccountNotFoundError,
        InvalidCursorError,
        InvalidRangeError,
        NotAvailableError,
        says="A page of windows, each with where it was read.",
    ),
)
async def get_windows(
    request: Request, account: AccountInPath, caller: Reader, query: WindowsQuery
) -> Response:
    """Read what the entries of each minute, hour or day come to, oldest first.

    The window that holds `from` is the first, the last begins before `to` (default: now). Without `from` the
    range holds 100 windows. A range may hold 20,000.
    """
    services = services_of(request)
    if services.windows is None:
        raise NotAvailableError("Windows are not served here.")
    asked = _range(account, query, services.clock.now())
    of = BalanceOf(caller.tenant, account, query.asset)
    found = await services.windows(caller.tenant_id, of, asked)
    if found is None:
        raise AccountNotFoundError(f"There is no account {account}.")
    items = [_window(each, asked.size) for each in found[: query.limit]]
    return answer({"items": items, "next_cursor": _next(account, query, asked, found)})


def _range(account: str, query: WindowsParameters, now: datetime) -> WindowRange:
    """Work out the windows that are asked for, one more than a page holds."""
    size = WindowSize(query.size)
    going_on = _cursors.read(query.cursor, *_filters(account, query))
    if going_on is not None:
        return WindowRange(size, going_on.first, going_on.before, query.limit + 1)
    before = -(-microseconds(query.to or now) // 1_000_000)
    if query.since is None:
        first = start_of(size, before * 1_000_000) - (WINDOWS_DEFAULT - 1) * size.seconds
    else:
        first = start_of(size, microseconds(query.since))
    _check(first, before, size, query)
    # Nothing was posted before 1970.
    return WindowRange(size, max(first, 0), max(before, 0), query.limit + 1)


def _check(first: int, before: int, size: WindowSize, query: WindowsParameters) -> None:
    if query.since is not None and query.to is not None and query.since >= query.to:
        raise InvalidRangeError("`from` is not before `to`.")
    if before - first > WINDOWS_MAX * size.seconds:
        raise InvalidRangeError(f"The range holds more than {WINDOWS_MAX:,} windows of {size}.")


def _filters(account: str, query: WindowsParameters) -> tuple[Any, ...]:
    return (account, query.asset, query.size, query.since, query.to)


def _next(
    account: str, query: WindowsParameters, asked: WindowRange, found: Sequence[SourcedWindow]
) -> str | None:
    if len(found) <= query.limit:
        return None
    return _cursors.write(_From(found[query.limit].start, asked.before), *_filters(account, query))


def _window(each: SourcedWindow, size: WindowSize) -> dict[str, Any]:
    window = each.window
    return {
        "start": datetime.fromtimestamp(each.start, UTC),
        "end": datetime.fromtimestamp(each.start + size.seconds, UTC),
        "opening": window.opening,
        "closing": window.closing,
        "low": window.low,
        "high": window.high,
        "debits": window.debits,
        "credits": window.credits,
        "entries": window.entries,
        "first_version": window.first_version,
        "last_version": window.last_version,
        "closed": each.closed,
        "source": each.source,
        "age_ms": each.age_ms,
    }
