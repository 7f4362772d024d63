"""Reading the books over HTTP: balances in each consistency, statements, windows, holds, transactions, payments."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from time import monotonic
from typing import TypeVar
from urllib.parse import quote

from ledger.client.answers import (
    AccountAnswer,
    AssetTotal,
    Balance,
    Consistency,
    HoldAnswer,
    LiveBalance,
    Page,
    PaymentAnswer,
    StatementLine,
    TransactionAnswer,
    Window,
    WindowSize,
)
from ledger.client.calling import Caller
from ledger.client.live import BalanceStream

PAGE_ITEMS = 500
LOOK_S = 0.2

Item = TypeVar("Item")


class Reading:
    """Part of the HTTP client. Reads raise MissingError for what is not there, and else as every call does."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def balance(
        self, account: str, asset: str, *, consistency: Consistency = "strong", at: datetime | None = None
    ) -> Balance:
        """Read one balance: `strong` as committed, `cached` and `eventual` with an age; `at` as it stood at a time."""
        query = _query(asset=asset, consistency=consistency, at=at)
        return await self._caller.ask("GET", f"{_path(account)}/balance", Balance, query=query)

    async def account(self, account: str) -> AccountAnswer:
        """Read the settings of an account and all its balances, as committed."""
        return await self._caller.ask("GET", _path(account), AccountAnswer)

    def accounts(self, prefix: str = "") -> AsyncIterator[AccountAnswer]:
        """Read accounts whose code begins with `prefix`, in the order of their codes."""
        return self._pages("/v1/accounts", Page[AccountAnswer], _query(prefix=prefix or None))

    def statement(
        self,
        account: str,
        asset: str | None = None,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> AsyncIterator[StatementLine]:
        """Read the entries of an account posted in [since, before), the newest first, page by page."""
        query = {**_query(asset=asset, to=before), **({"from": since.isoformat()} if since else {})}
        return self._pages(f"{_path(account)}/entries", Page[StatementLine], query)

    def windows(
        self,
        account: str,
        asset: str,
        size: WindowSize = "1h",
        *,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> AsyncIterator[Window]:
        """Read windows of an account, the oldest first; those without entries are left out."""
        query = {
            **_query(asset=asset, size=size, to=before),
            **({"from": since.isoformat()} if since else {}),
        }
        return self._pages(f"{_path(account)}/windows", Page[Window], query)

    def watch(self, account: str, asset: str | None = None) -> AsyncGenerator[LiveBalance, None]:
        """Follow the balances of an account for as long as it is iterated: all of them first, then each that changes.

        Every value is a strong read. A stream that breaks is taken up again where it was.
        """
        return BalanceStream(self._caller, f"{_path(account)}/stream", _query(asset=asset)).follow()

    async def transaction(self, transaction: str) -> TransactionAnswer:
        """Read a posted transaction by the id of its event."""
        return await self._caller.ask("GET", f"/v1/transactions/{quote(transaction)}", TransactionAnswer)

    async def hold(self, hold: str) -> HoldAnswer:
        """Read a hold as it stands."""
        return await self._caller.ask("GET", f"/v1/holds/{quote(hold)}", HoldAnswer)

    async def payment(self, payment: str) -> PaymentAnswer:
        """Read where a payment is, why, and the first 500 lines of its timeline."""
        return await self._caller.ask("GET", f"/v1/payments/{quote(payment)}", PaymentAnswer)

    async def payment_at_end(self, payment: str, *, wait_s: float) -> PaymentAnswer:
        """Wait until a payment has come to an end, for `wait_s` at most; gives it as it is then."""
        deadline = monotonic() + wait_s
        found = await self.payment(payment)
        while not found.has_ended and monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            found = await self.payment(payment)
        return found

    async def trial_balance(self, asset: str | None = None) -> list[AssetTotal]:
        """Read the totals of all balances by asset, from one moment; each `difference` is 0."""
        page = await self._caller.ask("GET", "/v1/trial-balance", Page[AssetTotal], query=_query(asset=asset))
        return page.items

    async def _pages(self, path: str, kind: type[Page[Item]], query: dict[str, str]) -> AsyncIterator[Item]:
        cursor: str | None = None
        while True:
            asked = {**query, "limit": str(PAGE_ITEMS), **({"cursor": cursor} if cursor else {})}
            page = await self._caller.ask("GET", path, kind, query=asked)
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return


def _path(account: str) -> str:
    return f"/v1/accounts/{quote(account, safe=':')}"


def _query(**members: object) -> dict[str, str]:
    """Write what is given of a query; times with their offset."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in members.items()
        if value is not None
    }
