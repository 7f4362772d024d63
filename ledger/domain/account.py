"""Accounts and their balances: one account of settings, one balance for each asset that it holds."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from ledger.domain.commands import OpenAccount
from ledger.domain.metadata import same_json

EXTERNAL_PREFIX = "external:"

NormalSide = Literal["credit", "debit"]
AccountKey = tuple[str, str]
"""(tenant, account)"""
BalanceKey = tuple[str, str, str]
"""(tenant, account, asset)"""


class Account(msgspec.Struct, gc=False):
    """The settings of an account; `overdraft` in minor units of any of its assets, None without limit."""

    tenant: str
    code: str
    normal_side: NormalSide
    overdraft: int | None
    metadata: dict[str, Any] | None = None
    closed: bool = False
    stands: bool = False
    """False for a draft: an account that will open itself if the event that names it is posted."""
    row: int | None = None
    """The key of its row, where the adapter has one; None for an account that is new."""

    def stands_as(self, command: OpenAccount) -> bool:
        """Tell whether opening by `command` would give the account that stands already."""
        return (
            self.normal_side == command.normal_side
            and self.overdraft == overdraft_of(command)
            and (command.metadata is msgspec.UNSET or same_json(command.metadata, self.metadata))
        )


class Balance(msgspec.Struct, gc=False):
    """What an account holds of one asset, in minor units; totals only grow.

    `balance` = posted credits − posted debits, or the other way round on the debit side;
    `available` = balance − held. `version` counts the entries, from 1, without gaps.
    """

    account: Account
    asset: str
    posted_debits: int = 0
    posted_credits: int = 0
    held: int = 0
    version: int = 0
    last_posted_at: datetime | None = None
    row: int | None = None
    """The key of its row, where the adapter has one; None for a balance that is new."""
    changed: bool = False

    @property
    def balance(self) -> int:
        net = self.posted_credits - self.posted_debits
        return net if self.account.normal_side == "credit" else -net

    @property
    def available(self) -> int:
        return self.balance - self.held

    def can_lose(self, amount: int) -> bool:
        """Tell whether `amount` may leave what is available without passing the overdraft."""
        overdraft = self.account.overdraft
        return overdraft is None or self.available + overdraft >= amount


def overdraft_of(command: OpenAccount) -> int | None:
    """Read the overdraft that `command` asks for, or the default of its kind of account; None: no limit."""
    if command.overdraft is msgspec.UNSET:
        return default_overdraft(command.account)
    return None if command.overdraft == "unlimited" else command.overdraft


def default_overdraft(code: str) -> int | None:
    """The outside world may be overdrawn without limit; any other account not at all."""
    return None if code.startswith(EXTERNAL_PREFIX) else 0


def default_account(tenant: str, code: str) -> Account:
    """Make the account that opens itself on first use."""
    return Account(tenant=tenant, code=code, normal_side="credit", overdraft=default_overdraft(code))


def opened_account(tenant: str, command: OpenAccount) -> Account:
    """Make the account that `command` asks for."""
    metadata = None if command.metadata is msgspec.UNSET else command.metadata
    return Account(tenant, command.account, command.normal_side, overdraft_of(command), metadata, stands=True)
