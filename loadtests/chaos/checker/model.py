"""A double-entry ledger in plain dictionaries: what an event may do, by the words of the public contract."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from loadtests.chaos.checker.events import AMOUNT_MAX, Event, time_of
from loadtests.chaos.checker.state import (
    REASONS,
    Balance,
    Born,
    Hold,
    Key,
    Limits,
    Line,
    Original,
    Settings,
    pair,
    placed,
    posting_reasons,
    wanted,
)


@dataclass(slots=True)
class Model:
    """The books of all tenants.

    `reversed_ids`: transactions that some event names as what it reverses, which alone are remembered.
    `movers`: of a payment, the events that its saga made to capture or void its hold.
    """

    limits: Limits = field(default_factory=Limits)
    auto_open: dict[str, bool] = field(default_factory=dict)
    providers: set[Key] = field(default_factory=set)
    reversed_ids: set[Key] = field(default_factory=set)
    movers: dict[Key, set[str]] = field(default_factory=dict)
    accounts: dict[Key, Settings] = field(default_factory=dict)
    balances: dict[tuple[str, str, str], Balance] = field(default_factory=dict)
    assets: dict[Key, set[str]] = field(default_factory=dict)
    holds: dict[Key, Hold] = field(default_factory=dict)
    originals: dict[Key, Original] = field(default_factory=dict)

    def settings(self, tenant: str, account: str) -> Settings:
        """Give an account as it stands, or as it would open itself."""
        return self.accounts.get((tenant, account)) or Settings(
            "credit", None if account.startswith("external:") else 0
        )

    def balance(self, tenant: str, account: str, asset: str) -> Balance:
        return self.balances.get((tenant, account, asset)) or Balance()

    def net(self, tenant: str, account: str, asset: str) -> int:
        """Give the balance as its side counts it."""
        found = self.balance(tenant, account, asset)
        net = found.credits - found.debits
        return net if self.settings(tenant, account).side == "credit" else -net

    def reason(self, event: Event, now: datetime) -> str | None:
        """Give the first reason for which the event must be refused; none: it must be done."""
        return min(self.reasons(event, now), key=REASONS.index, default=None)

    def reasons(self, event: Event, now: datetime) -> set[str]:
        """Give every reason that applies."""
        if event.type == "account.open.v1":
            found = set(self._open_reasons(event))
        elif event.type == "account.close.v1":
            found = set(self._close_reasons(event))
        else:
            found = set(self._money_reasons(event, now))
        return found | set(self._time_reasons(event, now))

    def is_duplicate(self, event: Event) -> bool:
        """Tell whether an opening asks for what stands."""
        return event.type == "account.open.v1" and (event.tenant, event.data["account"]) in self.accounts

    def lines(self, event: Event) -> list[Line]:
        """Give the entries that an event posts when it is done; none where it posts none."""
        data = event.data
        match event.type:
            case "transfer.post.v1":
                return pair(data["debit"], data["credit"], data["asset"], data["amount"])
            case "transaction.post.v1":
                return [(line["account"], line["asset"], line["amount"]) for line in data["entries"]]
            case "transaction.reverse.v1":
                return self._opposite(event)
            case "hold.capture.v1":
                return self._captured(event)
        return []

    def do(self, event: Event, lines: Sequence[Line], born: Born) -> None:
        """Do what an event was posted for, with the entries that the books have for it."""
        self.post(event.tenant, event.id, lines, born)
        data, key = event.data, (event.tenant, event.id)
        match event.type:
            case "account.open.v1":
                side, overdraft = wanted(data)
                self.accounts[event.tenant, data["account"]] = Settings(side, overdraft, data.get("metadata"))
            case "account.close.v1":
                self._stand(event.tenant, data["account"]).closed = True
            case "hold.place.v1" | "payment.request.v1":
                self.holds[key] = hold = placed(event, born)
                self._touch(event.tenant, hold.debit, hold.asset, born).held += hold.amount
                for account in (hold.credit, *([hold.fee[0]] if hold.fee else [])):
                    if not account.startswith("transit:"):
                        self._stand(event.tenant, account)
            case "hold.capture.v1":
                self._take(event, -lines[0][2] if lines else 0)
            case "hold.void.v1":
                self._release(event, born.at)
            case "transaction.reverse.v1":
                self._count_reversal(event, lines)

    def post(self, tenant: str, transaction: str, lines: Sequence[Line], born: Born) -> None:
        """Move balances by entries."""
        for account, asset, amount in lines:
            balance = self._touch(tenant, account, asset, born)
            balance.version += 1
            if amount < 0:
                balance.debits -= amount
            else:
                balance.credits += amount
        if (tenant, transaction) in self.reversed_ids:
            self.originals[tenant, transaction] = Original(lines, born)

    # Reasons

    def _time_reasons(self, event: Event, now: datetime) -> Iterator[str]:
        age = now.replace(microsecond=now.microsecond // 1000 * 1000) - time_of(event.id)
        if age > self.limits.horizon and not self._is_awaited(event):
            yield "event_too_old"
        if -age > self.limits.future:
            yield "event_from_future"

    def _is_awaited(self, event: Event) -> bool:
        hold = str(event.data.get("hold", "")).lower()
        return event.id in self.movers.get((event.tenant, hold), ())

    def _open_reasons(self, event: Event) -> Iterator[str]:
        stands = self.accounts.get((event.tenant, event.data["account"]))
        if stands is not None:
            note = event.data.get("metadata")
            if (stands.side, stands.overdraft) != wanted(event.data) or (
                "metadata" in event.data and note != stands.metadata
            ):
                yield "account_exists_differently"
            if stands.closed:
                yield "account_closed"

    def _close_reasons(self, event: Event) -> Iterator[str]:
        key = (event.tenant, event.data["account"])
        if key not in self.accounts:
            yield "account_not_found"
            return
        if self.accounts[key].closed:
            yield "account_closed"
        balances = [self.balances[(*key, asset)] for asset in self.assets.get(key, ())]
        if any(each.debits != each.credits or each.held for each in balances):
            yield "account_not_empty"

    def _money_reasons(self, event: Event, now: datetime) -> Iterator[str]:
        data = event.data
        if "amount" in data and not 0 < data["amount"] <= AMOUNT_MAX:
            yield "amount_out_of_range"
        if event.type in ("transfer.post.v1", "hold.place.v1") and data["debit"] == data["credit"]:
            yield "same_account"
        match event.type:
            case "transaction.post.v1":
                yield from posting_reasons(self.lines(event))
            case "transaction.reverse.v1":
                yield from self._reversal_reasons(event)
            case "hold.place.v1" | "payment.request.v1":
                yield from self._placing_reasons(event, now)
                return
            case "hold.capture.v1" | "hold.void.v1":
                yield from self._hold_reasons(event, now)
        yield from self._line_reasons(event)

    def _line_reasons(self, event: Event) -> Iterator[str]:
        lines = self.lines(event)
        yield from self._account_reasons(event.tenant, [account for account, _, _ in lines])
        moved: dict[tuple[str, str], list[int]] = {}
        for account, asset, amount in lines:
            moved.setdefault((account, asset), []).append(amount)
        spent = self._hold(event) if event.type == "hold.capture.v1" else None
        for (account, asset), amounts in moved.items():
            balance = self.balance(event.tenant, account, asset)
            credited = balance.credits + sum(each for each in amounts if each > 0)
            debited = balance.debits - sum(each for each in amounts if each < 0)
            if max(credited, debited) > AMOUNT_MAX:
                yield "amount_out_of_range"
            if spent is not None and account == spent.debit:
                continue  # its funds were set aside when the hold was placed
            if self._lacks(event.tenant, account, asset, sum(amounts)):
                yield "insufficient_funds"

    def _lacks(self, tenant: str, account: str, asset: str, moved: int) -> bool:
        settings = self.settings(tenant, account)
        loss = -moved if settings.side == "credit" else moved
        available = self.net(tenant, account, asset) - self.balance(tenant, account, asset).held
        return settings.overdraft is not None and loss > 0 and available + settings.overdraft < loss

    def _account_reasons(self, tenant: str, accounts: Sequence[str]) -> Iterator[str]:
        for account in accounts:
            if (tenant, account) not in self.accounts and not self.auto_open.get(tenant, True):
                yield "account_not_found"
            if self.settings(tenant, account).closed:
                yield "account_closed"

    def _placing_reasons(self, event: Event, now: datetime) -> Iterator[str]:
        hold = placed(event, Born(now, None))
        if hold.debit == hold.credit:
            yield "same_account"
        if hold.fee is not None:
            if hold.fee[0] == hold.debit:
                yield "same_account"
            if not 0 < hold.fee[1] < hold.amount:
                yield "amount_out_of_range"
        if self.balance(event.tenant, hold.debit, hold.asset).held + hold.amount > AMOUNT_MAX:
            yield "amount_out_of_range"
        accounts = [hold.debit, hold.credit, *([hold.fee[0]] if hold.fee else [])]
        yield from self._account_reasons(event.tenant, accounts)
        if hold.expires_at is not None and now >= hold.expires_at:
            yield "hold_expired"
        if hold.is_payment and (event.tenant, event.data["provider"]) not in self.providers:
            yield "unknown_provider"
        settings = self.settings(event.tenant, hold.debit)
        available = (
            self.net(event.tenant, hold.debit, hold.asset)
            - self.balance(event.tenant, hold.debit, hold.asset).held
        )
        if settings.overdraft is not None and available + settings.overdraft < hold.amount:
            yield "insufficient_funds"

    def _hold_reasons(self, event: Event, now: datetime) -> Iterator[str]:
        hold = self._hold(event)
        if hold is None:
            yield "hold_not_found"
            return
        if hold.state in ("captured", "voided"):
            yield "hold_closed"
        capture = event.type == "hold.capture.v1"
        if hold.state == "expired" or (capture and hold.has_expired(now)):
            yield "hold_expired"
        if capture and event.data.get("amount", hold.left) > hold.left:
            yield "exceeds_hold"

    def _reversal_reasons(self, event: Event) -> Iterator[str]:
        original = self._original(event)
        if original is None:
            yield "transaction_not_found"
            return
        given = event.data.get("amount")
        if not original.left:
            yield "already_reversed"
        if given is not None and (given > original.left or len(original.lines) != 2):
            yield "exceeds_original"

    # What stands

    def _hold(self, event: Event) -> Hold | None:
        key = (event.tenant, event.data["hold"].lower())
        hold = self.holds.get(key)
        if hold is None or not hold.is_payment:
            return hold
        whole = event.type == "hold.void.v1" or ("amount" not in event.data and event.data.get("final", True))
        return hold if whole and event.id in self.movers.get(key, ()) else None

    def _original(self, event: Event) -> Original | None:
        return self.originals.get((event.tenant, event.data["transaction"].lower()))

    def _opposite(self, event: Event) -> list[Line]:
        original = self._original(event)
        if original is None:
            return []
        if len(original.lines) != 2:
            return [(account, asset, -amount) for account, asset, amount in original.lines]
        taken = event.data.get("amount", original.left)
        return [
            (account, asset, -taken if amount > 0 else taken) for account, asset, amount in original.lines
        ]

    def _captured(self, event: Event) -> list[Line]:
        hold = self._hold(event)
        if hold is None:
            return []
        amount = event.data.get("amount", hold.left)
        if hold.fee is None or not amount:
            return pair(hold.debit, hold.credit, hold.asset, amount)
        account, fee = hold.fee
        return [
            (hold.debit, hold.asset, -amount),
            (hold.credit, hold.asset, amount - fee),
            (account, hold.asset, fee),
        ]

    # What an event does

    def _stand(self, tenant: str, account: str) -> Settings:
        return self.accounts.setdefault((tenant, account), self.settings(tenant, account))

    def _touch(self, tenant: str, account: str, asset: str, born: Born) -> Balance:
        self._stand(tenant, account)
        self.assets.setdefault((tenant, account), set()).add(asset)
        return self.balances.setdefault((tenant, account, asset), Balance(born=born))

    def _take(self, event: Event, amount: int) -> None:
        hold = self.holds.get((event.tenant, event.data["hold"].lower()))
        if hold is None:
            return
        final = event.data.get("final", True) or amount == hold.left
        freed = hold.left if final else amount
        self._touch(event.tenant, hold.debit, hold.asset, hold.born).held -= freed
        hold.left -= freed
        hold.state = "captured" if final else "open"

    def _release(self, event: Event, now: datetime) -> None:
        hold = self.holds.get((event.tenant, event.data["hold"].lower()))
        if hold is None:
            return
        hold.state = "expired" if hold.has_expired(now) else "voided"
        self._touch(event.tenant, hold.debit, hold.asset, hold.born).held -= hold.left
        hold.left = 0

    def _count_reversal(self, event: Event, lines: Sequence[Line]) -> None:
        original = self._original(event)
        if original is not None and lines:
            original.taken += abs(lines[0][2]) if len(original.lines) == 2 else 1
