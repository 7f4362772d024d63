"""Accounts: found by how they begin; a balance in every consistency, its chart, its statement, and where it is from."""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import services_of
from ledger.api.answers import answer
from ledger.api.console.pages import console_router, page
from ledger.api.console.visitors import NotThereError, Visitor, console_of, visitor_of
from ledger.api.parameters import ACCOUNT_PATTERN, ASSET_PATTERN
from ledger.application.access import Caller
from ledger.application.faults import OverloadedError, TooSlowError, TransientFaultError
from ledger.application.read_windows import SourcedWindow, WindowRange
from ledger.application.reading import AccountView, BalanceView, EntryView, HoldFacts, StatementPlace
from ledger.application.stream_reading import BalanceOf
from ledger.domain.moments import microseconds, moment_of
from ledger.domain.window import WindowSize, start_of

ACCOUNTS_A_PAGE = 50
ENTRIES_A_PAGE = 25
HOLDS_MAX = 50
WINDOWS_SHOWN = {WindowSize.MINUTE: 120, WindowSize.HOUR: 72, WindowSize.DAY: 90}

AccountCode = Annotated[str, Path(pattern=ACCOUNT_PATTERN)]
Got = TypeVar("Got")

_ASSET = re.compile(ASSET_PATTERN)
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{0,128}")
_PLACE = re.compile(r"(\d{1,18})\.(\d{1,18})")


class Reading(NamedTuple):
    """A balance as it was read in one consistency, or why it was not."""

    name: str
    says: str
    view: BalanceView | None = None
    source: str = ""
    age_ms: int = 0
    fault: str | None = None


class Explained(NamedTuple):
    """Where a balance comes from: the last entry, the one before, and whether all of it agrees."""

    view: BalanceView
    last: EntryView | None
    held_by_holds: int | None
    """What the open holds come to; None: there are more than are shown."""

    @property
    def before(self) -> int:
        """The balance before the last entry."""
        if self.last is None:
            return 0
        sign = 1 if self.view.normal_side == "credit" else -1
        return self.last.balance - sign * self.last.amount

    @property
    def agrees(self) -> bool:
        """Tell whether balance, last entry and holds say the same; an entry may have come between two reads."""
        last_is_same = (
            self.view.version == 0
            if self.last is None
            else (self.last.version, self.last.balance) == (self.view.version, self.view.balance)
        )
        return last_is_same and self.held_by_holds in (None, self.view.held)


def accounts_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("/accounts")(search)
    router.get("/accounts/{account}")(show)
    router.get("/accounts/{account}/chart")(chart)
    return router


async def search(request: Request) -> Response:
    """List accounts whose code begins so."""
    visitor = await visitor_of(request)
    prefix, after = (request.query_params.get(name, "") for name in ("prefix", "after"))
    is_code = _PREFIX.fullmatch(prefix) is not None and _PREFIX.fullmatch(after) is not None
    found: Sequence[AccountView] = ()
    if is_code:
        found = await services_of(request).history.accounts(
            visitor.caller.tenant_id, prefix, after or None, ACCOUNTS_A_PAGE + 1
        )
    shown = found[:ACCOUNTS_A_PAGE]
    following = shown[-1].account if len(found) > ACCOUNTS_A_PAGE else None
    return page(
        request, "accounts.html", visitor, prefix=prefix, found=shown, following=following, is_code=is_code
    )


async def show(request: Request, account: AccountCode) -> Response:
    """Show an account, and all there is about one of its balances."""
    visitor = await visitor_of(request)
    try:
        found = await services_of(request).balances.account(visitor.caller.tenant_id, account)
    except (TransientFaultError, OverloadedError):
        if (known := await _known_without_books(request, visitor, account)) is None:
            raise
        return known
    if found is None:
        raise NotThereError(f"There is no account {account} in the books of {visitor.caller.tenant}.")
    asset = _asset(request, found)
    context: dict[str, Any] = {"account": found, "asset": asset}
    if asset is not None:
        context |= await _about(request, visitor, found, asset)
    return page(request, "account.html", visitor, **context)


async def _known_without_books(request: Request, visitor: Visitor, account: str) -> Response | None:
    """Show the balance that is asked for as far as somebody else than the books knows it; None: nobody does."""
    asset = request.query_params.get("asset", "")
    if _ASSET.fullmatch(asset) is None:
        return None
    readings = await _readings(request, visitor.caller, account, asset)
    if all(each.view is None for each in readings):
        return None
    return page(request, "account_away.html", visitor, account=account, asset=asset, readings=readings)


def _asset(request: Request, account: AccountView) -> str | None:
    """Choose the asset that is shown: the one that is asked for, else the first that the account has."""
    asked = request.query_params.get("asset", "")
    assets = [each.asset for each in account.balances]
    if asked and (_ASSET.fullmatch(asked) is None or asked not in assets):
        raise NotThereError(f"The account has no balance in {asked}.")
    return asked or (assets[0] if assets else None)


async def _about(request: Request, visitor: Visitor, account: AccountView, asset: str) -> dict[str, Any]:
    services, tenant_id, code = services_of(request), visitor.caller.tenant_id, account.account
    place = _place(request.query_params.get("after", ""), asset)
    readings, newest, entries, holds = await asyncio.gather(
        _readings(request, visitor.caller, code, asset),
        services.history.statement(tenant_id, code, asset, None, None, None, 1),
        services.history.statement(tenant_id, code, asset, None, None, place, ENTRIES_A_PAGE + 1),
        console_of(request).holds.open_holds(tenant_id, code, asset, HOLDS_MAX + 1),
    )
    strong = readings[0].view
    shown = (entries or ())[:ENTRIES_A_PAGE]
    return {
        "readings": readings,
        "entries": shown,
        "following": _following(shown) if len(entries or ()) > ENTRIES_A_PAGE else None,
        "is_first_page": place is None,
        "holds": holds[:HOLDS_MAX],
        "more_holds": len(holds) > HOLDS_MAX,
        "explained": None if strong is None else _explained(strong, newest, holds),
        "sizes": [each.value for each in WindowSize],
    }


def _explained(
    view: BalanceView, newest: Sequence[EntryView] | None, holds: Sequence[HoldFacts]
) -> Explained:
    held = None if len(holds) > HOLDS_MAX else sum(each.left for each in holds)
    return Explained(view, newest[0] if newest else None, held)


async def _readings(request: Request, caller: Caller, account: str, asset: str) -> list[Reading]:
    """Read the balance in every consistency at the same time; one that is away hides no other."""
    return list(
        await asyncio.gather(
            _reading("strong", "what is committed", _strong(request, caller, account, asset)),
            _reading("cached", "what was read a moment ago", _cached(request, caller, account, asset)),
            _reading("eventual", "what the stream has seen", _eventual(request, caller, account, asset)),
        )
    )


Read = tuple[BalanceView, str, int] | str


async def _reading(name: str, says: str, read: Awaitable[Read]) -> Reading:
    try:
        found = await read
    except TooSlowError:
        found = "PostgreSQL did not answer in time."
    except TransientFaultError:
        found = "PostgreSQL cannot be read."
    except OverloadedError:
        found = "Too many reads wait already."
    return Reading(name, says, fault=found) if isinstance(found, str) else Reading(name, says, *found)


_NONE = "There is no such balance."


async def _strong(request: Request, caller: Caller, account: str, asset: str) -> Read:
    view = await services_of(request).balances.balance(caller.tenant_id, account, asset)
    return _NONE if view is None else (view, "database", 0)


async def _cached(request: Request, caller: Caller, account: str, asset: str) -> Read:
    cached = services_of(request).cached
    if cached is None:
        return "Cached balances are not served here."
    served = await cached.balance(caller.tenant, (caller.tenant_id, account, asset))
    return _NONE if served is None else (served.view, served.source, round(served.age_s * 1000))


async def _eventual(request: Request, caller: Caller, account: str, asset: str) -> Read:
    eventual = services_of(request).eventual
    if eventual is None:
        return "What the stream knows is not served here."
    found = await eventual(caller.tenant_id, BalanceOf(caller.tenant, account, asset))
    return _NONE if found is None else (found.view, found.source, found.age_ms)


def _place(text: str, asset: str) -> StatementPlace | None:
    """Read where a page of the statement ended."""
    found = _PLACE.fullmatch(text)
    if not text:
        return None
    if found is None:
        raise NotThereError("There is no such page of the statement.")
    try:
        return StatementPlace(moment_of(int(found[1])), asset, int(found[2]))
    except OverflowError as fault:
        raise NotThereError("There is no such page of the statement.") from fault


def _following(shown: Sequence[EntryView]) -> str:
    return f"{microseconds(shown[-1].posted_at)}.{shown[-1].version}"


async def chart(request: Request, account: AccountCode) -> Response:
    """Give windows of a balance for the chart: of amounts, what a screen can show; the table has them exactly."""
    visitor = await visitor_of(request)
    services = services_of(request)
    asset, size = request.query_params.get("asset", ""), request.query_params.get("size", "1h")
    if services.windows is None or _ASSET.fullmatch(asset) is None or size not in set(WindowSize):
        raise NotThereError("There are no such windows.")
    asked = _range(WindowSize(size), services.clock.now())
    of = BalanceOf(visitor.caller.tenant, account, asset)
    found = await services.windows(visitor.caller.tenant_id, of, asked)
    if found is None:
        raise NotThereError(f"There is no account {account}.")
    return answer(_chart(found, asked, asset))


def _range(size: WindowSize, now: datetime) -> WindowRange:
    before = microseconds(now) // 1_000_000 + 1
    shown = WINDOWS_SHOWN[size]
    first = start_of(size, before * 1_000_000) - (shown - 1) * size.seconds
    return WindowRange(size, max(first, 0), before, shown + 1)


def _chart(windows: Sequence[SourcedWindow], asked: WindowRange, asset: str) -> dict[str, Any]:
    """Put numbers of whole units into columns; between windows with entries a balance stays as it is."""
    scale = 10 ** int(asset.partition("/")[2])
    return {
        "asset": asset.partition("/")[0],
        "from": asked.first,
        "until": asked.before,
        "seconds": asked.size.seconds,
        "opening": windows[0].window.opening / scale if windows else None,
        "starts": [each.start for each in windows],
        "closing": [each.window.closing / scale for each in windows],
        "low": [each.window.low / scale for each in windows],
        "high": [each.window.high / scale for each in windows],
        "debits": [each.window.debits / scale for each in windows],
        "credits": [each.window.credits / scale for each in windows],
        "sources": sorted({each.source for each in windows}),
        "age_ms": max((each.age_ms for each in windows), default=0),
    }
