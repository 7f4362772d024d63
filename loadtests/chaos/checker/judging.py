"""The books' decisions against the model: in the order in which they were made, each must be what the contract says."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from loadtests.chaos.checker.events import Event
from loadtests.chaos.checker.model import Model
from loadtests.chaos.checker.report import Finding
from loadtests.chaos.checker.state import Born, Line

UNSEEN_S = 60.0
"""Who refuses cannot see what another partition's batch is about to commit: so long it may have been under way."""
_OF = {
    "unbalanced": "Z",
    "insufficient_funds": "B",
    "account_not_empty": "B",
    "hold_not_found": "S",
    "hold_closed": "S",
    "hold_expired": "S",
    "exceeds_hold": "S",
}
"""Which invariant is broken by doing what must be refused; of all others it is O."""
_UNSEEN = {"hold_not_found", "transaction_not_found", "account_not_found", "insufficient_funds"}

BalanceKey = tuple[str, str, str]


class Entry(NamedTuple):
    """One entry of the books: the totals are those after it."""

    account: str
    asset: str
    amount: int
    version: int
    debits: int
    credits: int


class Decision(NamedTuple):
    """What the books say of one event. `event` None: the log does not have its record."""

    tenant: str
    id: str
    kind: str
    reason: str | None
    now: datetime
    partition: int | None
    event: Event | None
    entries: Sequence[Entry]

    @property
    def name(self) -> str:
        return f"{self.tenant}/{self.id}"

    @property
    def lines(self) -> list[Line]:
        return [(each.account, each.asset, each.amount) for each in self.entries]


class Judge:
    """Follows the decisions through the model; a decision whose entries are not next waits for those before it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.count = 0
        self._waiting: dict[tuple[BalanceKey, int], list[Decision]] = defaultdict(list)

    def take(self, decision: Decision) -> Iterator[Finding]:
        """Take the next decision, in the order of time, partition and offset; gives what is wrong."""
        ready = [decision]
        while ready:
            each = ready.pop()
            missing = self._missing(each)
            if missing is not None:
                self._waiting[missing].append(each)
                continue
            self.count += 1
            yield from self._judge(each)
            for entry in each.entries:
                ready += self._waiting.pop(((each.tenant, entry.account, entry.asset), entry.version), [])

    def end(self) -> Iterator[Finding]:
        """Give what never came to its turn."""
        for (key, version), waiting in self._waiting.items():
            for each in waiting:
                detail = f"{'/'.join(key[:2])} {key[2]} has no version {version} to follow on"
                yield Finding("B", "entries follow on none", each.name, detail)

    def _missing(self, decision: Decision) -> tuple[BalanceKey, int] | None:
        """Name the entry before one of these that has not come yet."""
        firsts: dict[BalanceKey, int] = {}
        for entry in decision.entries:
            firsts.setdefault((decision.tenant, entry.account, entry.asset), entry.version)
        for key, version in firsts.items():
            if self.model.balance(*key).version < version - 1:
                return key, version - 1
        return None

    def _judge(self, decision: Decision) -> Iterator[Finding]:
        event = decision.event
        born = Born(decision.now, decision.partition)
        if event is None:
            self.model.post(decision.tenant, decision.id, decision.lines, born)
            return
        reason = self.model.reason(event, decision.now)
        if decision.kind == "posted":
            yield from self._judge_posted(decision, event, reason)
            self.model.do(event, decision.lines, born)
            yield from self._judge_totals(decision)
        elif decision.kind == "duplicate":
            if reason is not None or not self.model.is_duplicate(event):
                yield Finding(
                    "O", "called a duplicate", decision.name, f"{event.type}: {reason or 'it is new'}"
                )
        elif decision.reason != reason and not self._was_unseen(decision, event):
            detail = f"{event.type}: refused as {decision.reason}, and {reason or 'nothing'} applies"
            yield Finding("O", "refused otherwise", decision.name, detail)

    def _judge_posted(self, decision: Decision, event: Event, reason: str | None) -> Iterator[Finding]:
        if reason is not None:
            what = f"posted in spite of {reason}"
            yield Finding(_OF.get(reason, "O"), what, decision.name, event.type)
        elif self.model.is_duplicate(event):
            yield Finding("O", "opened twice", decision.name, event.data["account"])
        wanted = self.model.lines(event)
        if wanted != decision.lines and reason is None:
            detail = f"{event.type}: {decision.lines} instead of {wanted}"
            yield Finding("B", "entries are not what was asked for", decision.name, detail)

    def _judge_totals(self, decision: Decision) -> Iterator[Finding]:
        """The last entry of each balance tells where the model stands."""
        last = {(each.account, each.asset): each for each in decision.entries}
        for (account, asset), entry in last.items():
            balance = self.model.balance(decision.tenant, account, asset)
            found = (entry.version, entry.debits, entry.credits)
            wanted = (balance.version, balance.debits, balance.credits)
            if found != wanted:
                detail = f"{account} {asset}: version, debits, credits {found} instead of {wanted}"
                yield Finding("B", "totals are not the sum of what came", decision.name, detail)

    def _was_unseen(self, decision: Decision, event: Event) -> bool:
        """Tell whether a refusal may be of a moment before what it lacked was there for all to see."""
        if decision.reason not in _UNSEEN:
            return False
        return any(
            each is not None
            and each.partition != decision.partition
            and abs(decision.now - each.at) < timedelta(seconds=UNSEEN_S)
            for each in self._births(event)
        )

    def _births(self, event: Event) -> Iterator[Born | None]:
        data, tenant = event.data, event.tenant
        hold = self.model.holds.get((tenant, str(data.get("hold", "")).lower()))
        original = self.model.originals.get((tenant, str(data.get("transaction", "")).lower()))
        yield hold.born if hold else None
        yield original.born if original else None
        if "debit" in data:
            for account in (data["debit"], data["credit"]):
                yield self.model.balance(tenant, account, data["asset"]).born
        for account, asset, _ in self.model.lines(event):
            yield self.model.balance(tenant, account, asset).born
