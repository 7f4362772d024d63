"""What readers see of books in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from ledger.adapters.memory.books import Contents, MemoryBooks
from ledger.application.ports import Clock
from ledger.application.reading import (
    AccountView,
    AssetTotal,
    BalanceView,
    EntryView,
    EventFacts,
    HoldFacts,
    StatementPlace,
    TransactionView,
)
from ledger.domain.account import Account, Balance
from ledger.domain.holds import Hold
from ledger.domain.transaction import Transaction


class _Reader:
    """Knows which tenant an id stands for."""

    def __init__(self, books: MemoryBooks, tenants: Mapping[int, str], clock: Clock) -> None:
        self._books = books
        self._tenants = tenants
        self._clock = clock

    @property
    def _kept(self) -> Contents:
        return self._books.contents

    def _account(self, tenant_id: int, code: str) -> Account | None:
        return self._kept.accounts.get((self._tenants[tenant_id], code))

    def _account_view(self, account: Account) -> AccountView:
        key = (account.tenant, account.code)
        balances = [each for name, each in sorted(self._kept.balances.items()) if name[:2] == key]
        return AccountView(
            account.code,
            account.normal_side,
            account.overdraft,
            account.metadata,
            self._kept.opened_at[key],
            self._kept.closed_at.get(key),
            [self._view(account, each.asset, each) for each in balances],
        )

    def _view(self, account: Account, asset: str, balance: Balance | None) -> BalanceView:
        now = self._clock.now()
        if balance is None:
            return BalanceView(account.code, asset, account.normal_side, 0, 0, 0, 0, now)
        totals = (balance.posted_debits, balance.posted_credits, balance.held, balance.version)
        return BalanceView(account.code, asset, account.normal_side, *totals, now)

    def _entries(self, tenant: str, account: str, asset: str | None) -> Iterator[EntryView]:
        for (owner, _), transaction in self._kept.transactions.items():
            if owner == tenant:
                for entry in _entry_views(transaction):
                    if entry.account == account and asset in (None, entry.asset):
                        yield entry


class MemoryBalances(_Reader):
    """A BalanceReader."""

    async def balance(self, tenant_id: int, account: str, asset: str) -> BalanceView | None:
        found = self._account(tenant_id, account)
        if found is None:
            return None
        return self._view(found, asset, self._kept.balances.get((self._tenants[tenant_id], account, asset)))

    async def balance_at(self, tenant_id: int, account: str, asset: str, at: datetime) -> BalanceView | None:
        found = self._account(tenant_id, account)
        if found is None:
            return None
        entries = self._entries(self._tenants[tenant_id], account, asset)
        past = [entry for entry in entries if entry.posted_at <= at]
        if not past:
            return BalanceView(account, asset, found.normal_side, 0, 0, None, 0, at)
        last = max(past, key=lambda entry: entry.version)
        totals = (last.posted_debits, last.posted_credits, None, last.version)
        return BalanceView(account, asset, found.normal_side, *totals, at)

    async def account(self, tenant_id: int, account: str) -> AccountView | None:
        found = self._account(tenant_id, account)
        return None if found is None else self._account_view(found)


class MemoryHistory(_Reader):
    """A HistoryReader, and a HoldLister."""

    async def accounts(
        self, tenant_id: int, prefix: str, after: str | None, limit: int
    ) -> Sequence[AccountView]:
        tenant = self._tenants[tenant_id]
        codes = sorted(code for owner, code in self._kept.accounts if owner == tenant)
        page = [code for code in codes if code.startswith(prefix) and (after is None or code > after)][:limit]
        return [self._account_view(self._kept.accounts[tenant, code]) for code in page]

    async def statement(
        self,
        tenant_id: int,
        account: str,
        asset: str | None,
        since: datetime | None,
        before: datetime | None,
        after: StatementPlace | None,
        limit: int,
    ) -> Sequence[EntryView] | None:
        if self._account(tenant_id, account) is None:
            return None
        found = [
            entry
            for entry in self._entries(self._tenants[tenant_id], account, asset)
            if (since is None or entry.posted_at >= since) and (before is None or entry.posted_at < before)
        ]
        if after is not None:
            end = (after.posted_at, after.asset, after.version)
            found = [entry for entry in found if _place(entry) < end]
        return sorted(found, key=_place, reverse=True)[:limit]

    async def transaction(self, tenant_id: int, transaction: str) -> TransactionView | None:
        tenant = self._tenants[tenant_id]
        found = self._kept.transactions.get((tenant, transaction))
        if found is None:
            return None
        return TransactionView(
            found.id,
            found.type,
            found.posted_at,
            found.effective_at,
            found.reference,
            found.metadata,
            list(_entry_views(found)),
            found.reverses,
            found.captures,
            self._ids(tenant, lambda each: each.reverses == transaction),
        )

    async def hold(self, tenant_id: int, hold: str) -> HoldFacts | None:
        tenant = self._tenants[tenant_id]
        found = self._kept.holds.get((tenant, hold))
        return None if found is None else _hold(found, self._ids(tenant, lambda each: each.captures == hold))

    async def open_holds(self, tenant_id: int, account: str, asset: str, limit: int) -> Sequence[HoldFacts]:
        wanted = (self._tenants[tenant_id], account, asset, "open")
        found = [
            each
            for each in self._kept.holds.values()
            if (each.tenant, each.debit, each.asset, each.state) == wanted
        ]
        return [_hold(each, ()) for each in sorted(found, key=lambda each: each.id, reverse=True)[:limit]]

    async def event(self, tenant_id: int, event: str) -> EventFacts | None:
        key = (self._tenants[tenant_id], event)
        found = self._kept.processed.get(key)
        if found is None:
            return None
        transaction = await self.transaction(tenant_id, event)
        held = event if transaction is None else transaction.captures
        return EventFacts(
            event,
            self._kept.types[key],
            found.kind,
            found.posted_at,
            None if transaction is None else transaction.id,
            found.reason,
            found.detail,
            () if transaction is None else transaction.entries,
            await self.hold(tenant_id, held) if held else None,
        )

    async def trial_balance(self, tenant_id: int, asset: str | None) -> Sequence[AssetTotal]:
        totals: dict[str, AssetTotal] = {}
        for (tenant, _, name), each in sorted(self._kept.balances.items(), key=lambda item: item[0][2]):
            if tenant == self._tenants[tenant_id] and asset in (None, name):
                before = totals.get(name, AssetTotal(name, 0, 0, 0, 0))
                totals[name] = AssetTotal(
                    name,
                    before.posted_debits + each.posted_debits,
                    before.posted_credits + each.posted_credits,
                    before.held + each.held,
                    before.balances + 1,
                )
        return list(totals.values())

    def _ids(self, tenant: str, fits: Callable[[Transaction], bool]) -> list[str]:
        found = [each for key, each in self._kept.transactions.items() if key[0] == tenant and fits(each)]
        return [each.id for each in sorted(found, key=lambda each: (each.posted_at, each.id))]


def _hold(hold: Hold, captures: Sequence[str]) -> HoldFacts:
    if hold.placed_at is None:
        raise ValueError(f"hold {hold.id} was never placed")
    return HoldFacts(
        hold.id,
        hold.debit,
        hold.credit,
        hold.asset,
        hold.amount,
        hold.left,
        hold.captured,
        hold.released,
        hold.state,
        hold.placed_at,
        hold.expires_at,
        hold.reference,
        captures,
    )


def _place(entry: EntryView) -> tuple[datetime, str, int]:
    return (entry.posted_at, entry.asset, entry.version)


def _entry_views(transaction: Transaction) -> Iterator[EntryView]:
    for entry in transaction.entries:
        yield EntryView(
            entry.account,
            entry.asset,
            entry.version,
            entry.amount,
            entry.balance,
            entry.posted_debits,
            entry.posted_credits,
            transaction.id,
            transaction.type,
            transaction.reference,
            transaction.posted_at,
            transaction.effective_at,
        )
