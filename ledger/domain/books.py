"""The books as one batch sees them: the locked state that its events read and change, and what they changed."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from ledger.domain.account import Account, AccountKey, Balance, BalanceKey, default_account
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    Event,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
    credit_of,
)
from ledger.domain.holds import Hold
from ledger.domain.ids import first_text_of
from ledger.domain.moments import milliseconds
from ledger.domain.payments.rules import PaymentRules
from ledger.domain.payments.saga import Saga
from ledger.domain.payments.terms import Terms
from ledger.domain.transaction import Original, Transaction

EventKey = tuple[str, str]
"""(tenant, event id)"""
ProviderKey = tuple[str, str]
"""(tenant, name)"""


CLOCKS_DIFFER = timedelta(seconds=1)
"""By more, one of two clocks was set wrong, and what was posted by it stands in no order with what is posted now."""


MOMENT = timedelta(microseconds=1)
"""The least that times of the books differ by."""


class Rules(msgspec.Struct, frozen=True):
    """The limits that hold for every tenant."""

    dedupe_horizon: timedelta = timedelta(days=90)
    future_tolerance: timedelta = timedelta(minutes=5)
    payments: PaymentRules = PaymentRules()


class IdSpan(msgspec.Struct, frozen=True):
    """Which ids are neither too old nor from the future at one moment: those from `first` on and before `end`."""

    now: datetime
    first: str
    end: str


def id_span(now: datetime, oldest_id: str, rules: Rules) -> IdSpan:
    now_ms, millisecond = milliseconds(now), timedelta(milliseconds=1)
    first = first_text_of(now_ms - rules.dedupe_horizon // millisecond)
    end = first_text_of(now_ms + rules.future_tolerance // millisecond + 1)
    return IdSpan(now, max(first, oldest_id), end)


class Needs(msgspec.Struct, frozen=True):
    """What a batch must lock before it can be decided."""

    tenants: set[str]
    accounts: set[AccountKey]
    """Accounts whose settings are asked for by name (open, close)."""
    closing: set[AccountKey]
    balances: set[BalanceKey]
    holds: set[EventKey]
    originals: set[EventKey]
    providers: set[ProviderKey] = set()
    """Asked for by payments; read without a lock."""


def needs_of(events: Iterable[Event]) -> Needs:
    """Collect what the commands of `events` name; holds and originals lead the adapter to more balances."""
    needs = Needs(set(), set(), set(), set(), set(), set())
    for event in events:
        needs.tenants.add(event.tenant)
        _add_needs(needs, event.tenant, event.command)
    return needs


def _add_needs(needs: Needs, tenant: str, command: Command) -> None:
    match command:
        case PostTransfer() | PlaceHold():
            needs.balances.add((tenant, command.debit, command.asset))
            needs.balances.add((tenant, command.credit, command.asset))
        case RequestPayment():
            codes = {command.debit, credit_of(command)}
            codes |= set() if command.fee is msgspec.UNSET else {command.fee.account}
            needs.balances.update((tenant, code, command.asset) for code in codes)
            needs.providers.add((tenant, command.provider))
        case PostTransaction():
            needs.balances.update((tenant, line.account, line.asset) for line in command.entries)
        case ReverseTransaction():
            needs.originals.add((tenant, command.transaction.lower()))
        case CaptureHold() | VoidHold():
            needs.holds.add((tenant, command.hold.lower()))
        case OpenAccount():
            needs.accounts.add((tenant, command.account))
        case CloseAccount():
            needs.accounts.add((tenant, command.account))
            needs.closing.add((tenant, command.account))


class PaymentRequested(msgspec.Struct, frozen=True):
    """A payment that was accepted; its funds are held under its id."""

    terms: Terms
    saga: Saga
    at: datetime


class Changes(msgspec.Struct):
    """What the decisions of a batch changed, for an adapter to write down; each thing once."""

    transactions: list[Transaction] = []
    balances: list[Balance] = []
    opened: list[Account] = []
    closed: list[Account] = []
    opened_at: dict[AccountKey, datetime] = {}
    """Of accounts for which it is another time than that of the batch."""
    closed_at: dict[AccountKey, datetime] = {}
    holds_placed: list[Hold] = []
    holds_changed: dict[EventKey, Hold] = {}
    reversals: dict[EventKey, Original] = {}
    payments: list[PaymentRequested] = []


class Books(msgspec.Struct):
    """Locked state, by key. What is not here does not exist; a draft once something is posted, or held."""

    accounts: dict[AccountKey, Account] = {}
    balances: dict[BalanceKey, Balance] = {}
    holds: dict[EventKey, Hold] = {}
    originals: dict[EventKey, Original] = {}
    auto_open: dict[str, bool] = {}
    watched: set[EventKey] = set()
    """Transactions that an event of this batch reverses: kept as originals if this batch posts them."""
    oldest_id: str = ""
    """Ids before this one are no longer known, so that none of them may be posted."""
    span: IdSpan | None = None
    """That of the last event that was decided: it moves with the moment."""
    providers: set[ProviderKey] = set()
    """Those that were asked for and are there."""
    payment_rules: PaymentRules = PaymentRules()
    payments_begin: datetime | None = None
    """The time by the clock of those who will advance the payments of this batch; None: as for all else."""
    changes: Changes = msgspec.field(default_factory=Changes)

    def not_before(self, now: datetime) -> datetime:
        """Give `now`, or the moment after the last that was done to these balances and holds.

        Only where that is later by no more than clocks differ by. A batch never shares its time with one that it
        follows on: by their times alone nobody could tell in which order to do them again.
        """
        done = [each.last_posted_at for each in self.balances.values() if each.last_posted_at]
        done += [each.placed_at for each in self.holds.values() if each.placed_at]
        until = now + CLOCKS_DIFFER
        last = max((at for at in done if now <= at <= until), default=None)
        return now if last is None else last + MOMENT

    def account(self, tenant: str, code: str) -> Account:
        """Find an account, or draft the one that would open itself."""
        account = self.accounts.get((tenant, code))
        if account is None:
            account = self.accounts[tenant, code] = default_account(tenant, code)
        return account

    def balance(self, tenant: str, code: str, asset: str) -> Balance:
        """Find a balance, or draft it at zero."""
        key = (tenant, code, asset)
        balance = self.balances.get(key)
        if balance is None:
            balance = self.balances[key] = Balance(self.account(tenant, code), asset)
        return balance

    def balances_of(self, account: Account) -> list[Balance]:
        """Find the balances of an account, in the order of their assets."""
        found = [balance for balance in self.balances.values() if balance.account is account]
        return sorted(found, key=lambda balance: balance.asset)

    def opens_by_itself(self, tenant: str) -> bool:
        return self.auto_open.get(tenant, True)

    def open(self, account: Account) -> None:
        """Let an account stand, by command or by first use."""
        account.stands = True
        self.accounts[account.tenant, account.code] = account
        self.changes.opened.append(account)

    def close(self, account: Account) -> None:
        account.closed = True
        self.changes.closed.append(account)

    def touch(self, balance: Balance) -> None:
        """Note that `balance` changes; its account opens itself if it is a draft."""
        if not balance.changed:
            balance.changed = True
            self.changes.balances.append(balance)
            if not balance.account.stands:
                self.open(balance.account)

    def place(self, hold: Hold) -> None:
        self.holds[hold.tenant, hold.id] = hold
        self.changes.holds_placed.append(hold)

    def change_hold(self, hold: Hold) -> None:
        if hold.row_exists:
            self.changes.holds_changed[hold.tenant, hold.id] = hold
