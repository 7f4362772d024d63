"""A second opinion on the books: a journal, from which everything is worked out anew at each question.

Of an event it names every reason that applies, and gives the first in the order of the contract's list.
"""

from datetime import datetime
from typing import Any

from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Event,
    Fee,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
)
from ledger.domain.rejection import Reason

MAX = 2**63 - 1
ORDER = [reason.value for reason in Reason]
Entries = list[tuple[str, str, int]]


class NaiveHold:
    def __init__(self, command: PlaceHold | RequestPayment, expires_at: datetime | None = None) -> None:
        self.command = command
        self.expires_at = expires_at
        self.captures: list[tuple[int, bool]] = []
        self.let_go = ""
        self.only = ("", "")
        """Of a payment: which event may do what with it."""

    def captured(self) -> int:
        return sum(amount for amount, _ in self.captures)

    def closed(self) -> str:
        if any(final for _, final in self.captures) or self.captured() == self.command.amount:
            return "captured"
        return self.let_go

    def left(self) -> int:
        return 0 if self.closed() else self.command.amount - self.captured()


def _not_transit(names: list[str]) -> list[str]:
    """Leave out accounts of other tenants: whoever is paid agrees first."""
    return [name for name in names if not name.startswith("transit:")]


class NaiveBooks:
    """The books of one tenant."""

    def __init__(self, *, auto_open: bool = True) -> None:
        self.auto_open = auto_open
        self.journal: dict[str, Entries] = {}
        self.reversals: dict[str, list[int]] = {}
        self.settings: dict[str, tuple[str, int | None, Any]] = {}
        self.closed: set[str] = set()
        self.holds: dict[str, NaiveHold] = {}
        self.providers = {"bank"}

    # What stands

    def lines(self, account: str, asset: str) -> list[int]:
        return [
            amount
            for entries in self.journal.values()
            for where, what, amount in entries
            if (where, what) == (account, asset)
        ]

    def side(self, account: str) -> str:
        return self.settings[account][0] if account in self.settings else "credit"

    def overdraft(self, account: str) -> int | None:
        if account in self.settings:
            return self.settings[account][1]
        return None if account.startswith("external:") else 0

    def balance(self, account: str, asset: str) -> int:
        net = sum(self.lines(account, asset))
        return net if self.side(account) == "credit" else -net

    def held(self, account: str, asset: str) -> int:
        return sum(
            hold.left()
            for hold in self.holds.values()
            if (hold.command.debit, hold.command.asset) == (account, asset)
        )

    def assets(self, account: str) -> set[str]:
        posted = {asset for entries in self.journal.values() for name, asset, _ in entries if name == account}
        return posted | {hold.command.asset for hold in self.holds.values() if hold.command.debit == account}

    # What an event does

    def answer(self, event: Event, now: datetime) -> str:
        """Give the kind of outcome, or the reason of the refusal, and take the event into the books."""
        command = event.command
        faults = getattr(self, f"_{type(command).__name__}")(event, command, now)
        if isinstance(faults, str):
            return faults
        return min(faults, key=ORDER.index) if faults else "posted"

    def _OpenAccount(self, event: Event, command: OpenAccount, now: datetime) -> Any:  # noqa: N802
        name = command.account
        limit: Any = command.overdraft
        if limit == "unlimited" or (not isinstance(limit, int) and name.startswith("external:")):
            limit = None
        elif not isinstance(limit, int):
            limit = 0
        note = command.metadata if isinstance(command.metadata, dict) else None
        if name not in self.settings:
            self.settings[name] = (command.normal_side, limit, note)
            return set()
        side, overdraft, kept = self.settings[name]
        same = (side, overdraft) == (command.normal_side, limit) and note in (None, kept)
        faults = set() if same else {"account_exists_differently"}
        if name in self.closed:
            faults.add("account_closed")
        return faults or "duplicate"

    def _CloseAccount(self, event: Event, command: CloseAccount, now: datetime) -> set[str]:  # noqa: N802
        name = command.account
        if name not in self.settings:
            return {"account_not_found"}
        faults = {"account_closed"} if name in self.closed else set()
        if any(self.balance(name, asset) or self.held(name, asset) for asset in self.assets(name)):
            faults.add("account_not_empty")
        if not faults:
            self.closed.add(name)
        return faults

    def _PostTransfer(self, event: Event, command: PostTransfer, now: datetime) -> set[str]:  # noqa: N802
        faults = {"same_account"} if command.debit == command.credit else set()
        entries = [
            (command.debit, command.asset, -command.amount),
            (command.credit, command.asset, command.amount),
        ]
        faults |= self._sign_fault(command.amount) | self._entries_faults(entries)
        return faults or self._post(event, entries)

    def _PostTransaction(  # noqa: N802
        self, event: Event, command: PostTransaction, now: datetime
    ) -> set[str]:
        entries = [(line.account, line.asset, line.amount) for line in command.entries]
        faults = set()
        for asset in {asset for _, asset, _ in entries}:
            if sum(amount for _, what, amount in entries if what == asset):
                faults.add("unbalanced")
        if len({name for name, _, _ in entries}) == 1:
            faults.add("same_account")
        faults |= self._entries_faults(entries)
        return faults or self._post(event, entries)

    def _ReverseTransaction(  # noqa: N802
        self, event: Event, command: ReverseTransaction, now: datetime
    ) -> set[str]:
        given = command.amount if isinstance(command.amount, int) else None
        faults = set() if given is None else self._sign_fault(given)
        original = self.journal.get(command.transaction)
        if original is None:
            return faults | {"transaction_not_found"}
        whole = abs(original[0][2]) if len(original) == 2 else 1
        left = whole - sum(self.reversals.get(command.transaction, []))
        taken = left if given is None else given
        if left == 0:
            faults.add("already_reversed")
        if taken > left or (given is not None and len(original) != 2):
            faults.add("exceeds_original")
        sizes = [taken if len(original) == 2 else abs(amount) for _, _, amount in original]
        entries = [
            (name, asset, -size if amount > 0 else size)
            for (name, asset, amount), size in zip(original, sizes, strict=True)
        ]
        faults |= self._entries_faults(entries, zero_is_a_fault=False)
        if not faults:
            self._post(event, entries)
            self.reversals.setdefault(command.transaction, []).append(taken)
        return faults

    def _PlaceHold(self, event: Event, command: PlaceHold, now: datetime) -> set[str]:  # noqa: N802
        faults = {"same_account"} if command.debit == command.credit else set()
        faults |= self._sign_fault(command.amount)
        faults |= self._account_faults([command.debit, command.credit])
        expires_at = command.expires_at if isinstance(command.expires_at, datetime) else None
        if expires_at is not None and expires_at <= now:
            faults.add("hold_expired")
        if self.held(command.debit, command.asset) + command.amount > MAX:
            faults.add("amount_out_of_range")
        if self._falls_short(command.debit, command.asset, command.amount):
            faults.add("insufficient_funds")
        if not faults:
            self.holds[event.id] = NaiveHold(command, expires_at)
            self._use([command.debit, *_not_transit([command.credit])])
        return faults

    def _CaptureHold(self, event: Event, command: CaptureHold, now: datetime) -> set[str]:  # noqa: N802
        given = command.amount if isinstance(command.amount, int) else None
        faults = set() if given is None else self._sign_fault(given)
        hold = self.holds.get(command.hold)
        whole = given is None and command.final
        if hold is None or not self._may(event, hold, "capture" if whole else "a part"):
            return faults | {"hold_not_found"}
        taken = hold.left() if given is None else given
        faults |= self._hold_faults(hold, now)
        if taken > hold.left():
            faults.add("exceeds_hold")
        placed = hold.command
        entries = [(placed.debit, placed.asset, -taken), (placed.credit, placed.asset, taken)]
        if isinstance(placed, RequestPayment) and isinstance(placed.fee, Fee) and taken:
            entries[1] = (placed.credit, placed.asset, taken - placed.fee.amount)
            entries.append((placed.fee.account, placed.asset, placed.fee.amount))
        faults |= self._entries_faults(entries, zero_is_a_fault=False, reserved=placed.debit)
        if not faults:
            self._post(event, entries)
            hold.captures.append((taken, command.final))
        return faults

    def _VoidHold(self, event: Event, command: VoidHold, now: datetime) -> set[str]:  # noqa: N802
        hold = self.holds.get(command.hold)
        if hold is None or not self._may(event, hold, "release"):
            return {"hold_not_found"}
        if hold.closed():
            return {"hold_expired" if hold.let_go == "expired" else "hold_closed"}
        hold.let_go = "expired" if hold.expires_at is not None and hold.expires_at <= now else "voided"
        return set()

    def _RequestPayment(  # noqa: N802
        self, event: Event, command: RequestPayment, now: datetime
    ) -> set[str]:
        names = [command.debit, command.credit]
        faults = {"same_account"} if command.debit == command.credit else set()
        faults |= self._sign_fault(command.amount)
        if isinstance(command.fee, Fee):
            names.append(command.fee.account)
            faults |= {"same_account"} if command.fee.account == command.debit else set()
            if command.fee.amount < 1 or command.fee.amount >= command.amount:
                faults.add("amount_out_of_range")
        faults |= self._account_faults(names)
        if command.provider not in self.providers:
            faults.add("unknown_provider")
        if self.held(command.debit, command.asset) + command.amount > MAX:
            faults.add("amount_out_of_range")
        if self._falls_short(command.debit, command.asset, command.amount):
            faults.add("insufficient_funds")
        if not faults:
            self.holds[event.id] = NaiveHold(command)
            self._use([command.debit, *_not_transit(names)])
        return faults

    def _may(self, event: Event, hold: NaiveHold, what: str) -> bool:
        return isinstance(hold.command, PlaceHold) or hold.only == (event.id, what)

    # What can be wrong

    def _sign_fault(self, amount: int) -> set[str]:
        return set() if 0 < amount <= MAX else {"amount_out_of_range"}

    def _account_faults(self, names: list[str]) -> set[str]:
        faults = set()
        if not self.auto_open and any(name not in self.settings for name in names):
            faults.add("account_not_found")
        if any(name in self.closed for name in names):
            faults.add("account_closed")
        return faults

    def _hold_faults(self, hold: NaiveHold, now: datetime) -> set[str]:
        if hold.closed():
            return {"hold_expired" if hold.let_go == "expired" else "hold_closed"}
        return {"hold_expired"} if hold.expires_at is not None and hold.expires_at <= now else set()

    def _entries_faults(
        self, entries: Entries, *, zero_is_a_fault: bool = True, reserved: str = ""
    ) -> set[str]:
        faults = self._account_faults([name for name, _, _ in entries])
        if zero_is_a_fault and not all(0 < abs(amount) <= MAX for _, _, amount in entries):
            faults.add("amount_out_of_range")
        for name, asset in {(name, asset) for name, asset, _ in entries}:
            moves = [amount for where, what, amount in entries if (where, what) == (name, asset)]
            lines = self.lines(name, asset) + moves
            if (
                sum(line for line in lines if line > 0) > MAX
                or -sum(line for line in lines if line < 0) > MAX
            ):
                faults.add("amount_out_of_range")
            loss = -sum(moves) if self.side(name) == "credit" else sum(moves)
            if name != reserved and loss > 0 and self._falls_short(name, asset, loss):
                faults.add("insufficient_funds")
        return faults

    def _falls_short(self, name: str, asset: str, loss: int) -> bool:
        limit = self.overdraft(name)
        return limit is not None and self.balance(name, asset) - self.held(name, asset) + limit < loss

    def _post(self, event: Event, entries: Entries) -> set[str]:
        self.journal[event.id] = entries
        self._use([name for name, _, _ in entries])
        return set()

    def _use(self, names: list[str]) -> None:
        for name in names:
            self.settings.setdefault(name, ("credit", None if name.startswith("external:") else 0, None))
