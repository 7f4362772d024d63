"""What readers see of the books, and the ports that show it; amounts are integers of minor units, times are UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ledger.domain.account import NormalSide
from ledger.domain.holds import HoldState
from ledger.domain.outcome import OutcomeKind
from ledger.domain.rejection import Reason
from ledger.domain.window import Window, WindowSize


class BalanceView(msgspec.Struct, frozen=True):
    """A balance at `as_of`. `held` is None where the source does not know it: the past, and the stream."""

    account: str
    asset: str
    normal_side: NormalSide
    posted_debits: int
    posted_credits: int
    held: int | None
    version: int
    as_of: datetime

    @property
    def balance(self) -> int:
        net = self.posted_credits - self.posted_debits
        return net if self.normal_side == "credit" else -net

    @property
    def available(self) -> int | None:
        return None if self.held is None else self.balance - self.held


class AccountView(msgspec.Struct, frozen=True):
    """An account with all its balances; `overdraft` None is no limit."""

    account: str
    normal_side: NormalSide
    overdraft: int | None
    metadata: dict[str, Any] | None
    opened_at: datetime
    closed_at: datetime | None
    balances: Sequence[BalanceView]


class EntryView(msgspec.Struct, frozen=True):
    """One line of a posted transaction; balance and totals are those after it."""

    account: str
    asset: str
    version: int
    amount: int
    balance: int
    posted_debits: int
    posted_credits: int
    transaction: str
    type: str
    reference: str | None
    posted_at: datetime
    effective_at: datetime


class TransactionView(msgspec.Struct, frozen=True):
    """A posted transaction, what it took back or captured, and the reversals that took it back."""

    id: str
    type: str
    posted_at: datetime
    effective_at: datetime
    reference: str | None
    metadata: dict[str, Any] | None
    entries: Sequence[EntryView]
    reverses: str | None
    captures: str | None
    reversed_by: Sequence[str]


class HoldFacts(msgspec.Struct, frozen=True):
    """A hold as it stands, and the transactions that captured of it."""

    id: str
    debit: str
    credit: str
    asset: str
    amount: int
    left: int
    captured: int
    released: int
    state: HoldState
    placed_at: datetime
    expires_at: datetime | None
    reference: str | None
    captures: Sequence[str]


class EventFacts(msgspec.Struct, frozen=True):
    """What became of an event, with the entries it posted; a hold that it placed or captured, as it stands now."""

    id: str
    type: str
    kind: OutcomeKind
    posted_at: datetime
    transaction: str | None
    reason: Reason | None
    detail: str | None
    entries: Sequence[EntryView] = ()
    hold: HoldFacts | None = None


class AssetTotal(msgspec.Struct, frozen=True):
    """All balances of one asset together: debits and credits are equal."""

    asset: str
    posted_debits: int
    posted_credits: int
    held: int
    balances: int


class StatementPlace(msgspec.Struct, frozen=True):
    """Where a page of a statement ends: the entry after which, going back in time, the next page begins."""

    posted_at: datetime
    asset: str
    version: int


class WindowOf(msgspec.Struct, frozen=True):
    """One window of an account and asset; `start` in seconds since 1970."""

    start: int
    window: Window


class BalanceReader(Protocol):
    """Balances as they are committed. None: there is no such account."""

    async def balance(self, tenant_id: int, account: str, asset: str) -> BalanceView | None:
        """Read a balance; zeros at version 0 for an asset that the account never had."""
        ...

    async def balance_at(self, tenant_id: int, account: str, asset: str, at: datetime) -> BalanceView | None:
        """Read a balance as it stood at a time, by posted_at."""
        ...

    async def account(self, tenant_id: int, account: str) -> AccountView | None:
        """Read an account with every balance, in the order of assets, from one snapshot."""
        ...


class HistoryReader(Protocol):
    """What was posted. A page has at most `limit` rows; None: there is no such account, transaction, …"""

    async def accounts(
        self, tenant_id: int, prefix: str, after: str | None, limit: int
    ) -> Sequence[AccountView]:
        """List accounts whose code begins with `prefix`, in the order of codes, beginning after `after`."""
        ...

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
        """Read entries posted in [since, before), newest first, beginning after the place `after`."""
        ...

    async def transaction(self, tenant_id: int, transaction: str) -> TransactionView | None: ...

    async def hold(self, tenant_id: int, hold: str) -> HoldFacts | None: ...

    async def event(self, tenant_id: int, event: str) -> EventFacts | None: ...

    async def trial_balance(self, tenant_id: int, asset: str | None) -> Sequence[AssetTotal]:
        """Add up all balances, by asset, in one snapshot."""
        ...


class HoldLister(Protocol):
    """The holds on an account."""

    async def open_holds(self, tenant_id: int, account: str, asset: str, limit: int) -> Sequence[HoldFacts]:
        """List the holds that are open on a balance, the newest first; without the transactions that captured."""
        ...


class WindowReader(Protocol):
    """Windows worked out from entries. None: there is no such account."""

    async def windows(
        self, tenant_id: int, account: str, asset: str, size: WindowSize, first: int, before: int, limit: int
    ) -> Sequence[WindowOf] | None:
        """Read the windows that hold entries and begin in [first, before), oldest first."""
        ...
