"""What becomes of the events of the mix, reckoned one after another with no code of the ledger."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from loadtests.expected import ExpectedBooks
from loadtests.workloads.paying import Asked, expect_refunded, expect_settled

ASSET = "EUR/2"
TYPES = frozenset(
    {
        "account.open.v1",
        "account.close.v1",
        "transfer.post.v1",
        "transaction.post.v1",
        "transaction.reverse.v1",
        "hold.place.v1",
        "hold.capture.v1",
        "hold.void.v1",
        "payment.request.v1",
    }
)
Data = dict[str, Any]


@dataclass(slots=True)
class Hold:
    """Funds of `debit` for `credit`; `left` is 0 when it is closed."""

    debit: str
    credit: str
    left: int


@dataclass(slots=True)
class Original:
    """A transfer that may be reversed; `left` of it has not been."""

    debit: str
    credit: str
    left: int
    size: int


class Refused(Exception):  # noqa: N818 - a refusal is no fault
    """The event is refused; the message is the reason."""


class Reckoning:
    """Takes the records of one tenant in the order that their keys keep."""

    def __init__(self) -> None:
        self.books = ExpectedBooks()
        self._seen: dict[str, tuple[str, Data]] = {}
        self._available: dict[str, int] = {}
        self._holds: dict[str, Hold] = {}
        self._transfers: dict[str, Original] = {}
        self._closed: set[str] = set()
        self._asked: list[Asked] = []
        self._tenant = ""
        self._doers: dict[str, Callable[[str, Data], None]] = {
            "account.open.v1": self._open,
            "account.close.v1": self._close,
            "transfer.post.v1": self._transfer,
            "transaction.post.v1": self._transaction,
            "transaction.reverse.v1": self._reverse,
            "hold.place.v1": self._place,
            "hold.capture.v1": self._capture,
            "hold.void.v1": self._void,
            "payment.request.v1": self._request,
        }

    def take(self, value: bytes) -> None:
        """Reckon one record."""
        event = read(value)
        if event is None:
            self.books.dead_letters += 1
            return
        self._tenant = event["tenant"]
        content = (event["type"], event["data"])
        before = self._seen.setdefault(event["id"], content)
        if before is not content:
            self.books.repeats += before == content
            self.books.reused += before != content
            return
        try:
            self._doers[event["type"]](event["id"], event["data"])
        except Refused as refused:
            self.books.outcomes[str(refused)] += 1
        else:
            self.books.outcomes["posted"] += 1

    def end(self) -> None:
        """Bring payments to their end: settled, or refunded where the account of the payee is closed."""
        for asked in self._asked:
            if asked.credit in self._closed:
                expect_refunded(self.books)
                self.books.hold((self._tenant, asked.debit, ASSET), -asked.amount)
            else:
                expect_settled(self.books, self._tenant, ASSET, asked, "fees:card")
                self.books.hold((self._tenant, asked.debit, ASSET), -asked.amount)

    def _open(self, _: str, data: Data) -> None:
        self._closed.discard(data["account"])

    def _close(self, _: str, data: Data) -> None:
        self._closed.add(data["account"])

    def _transfer(self, event_id: str, data: Data) -> None:
        amount = data["amount"]
        self._spend(data["debit"], amount)
        self._post([(data["debit"], -amount), (data["credit"], amount)])
        self._transfers[event_id] = Original(data["debit"], data["credit"], amount, amount)

    def _transaction(self, _: str, data: Data) -> None:
        lines = [(line["account"], line["amount"]) for line in data["entries"]]
        for account, amount in lines:
            if amount < 0:
                self._spend(account, -amount)
        self._post(lines)

    def _reverse(self, _: str, data: Data) -> None:
        original = self._transfers.get(data["transaction"])
        if original is None:
            raise Refused("transaction_not_found")
        if not original.left:
            raise Refused("already_reversed")
        amount = data.get("amount", original.left)
        if amount > original.left:
            raise Refused("exceeds_original")
        original.left -= amount
        self._spend(original.credit, amount)
        self._post([(original.credit, -amount), (original.debit, amount)])

    def _place(self, event_id: str, data: Data) -> None:
        self._spend(data["debit"], data["amount"])
        self._holds[event_id] = Hold(data["debit"], data["credit"], data["amount"])
        self._hold(data["debit"], data["amount"])

    def _capture(self, _: str, data: Data) -> None:
        hold = self._open_hold(data)
        amount = data.get("amount", hold.left)
        if amount > hold.left:
            raise Refused("exceeds_hold")
        rest = hold.left - amount if data.get("final", True) else 0
        hold.left -= amount + rest
        self._hold(hold.debit, -amount - rest)
        self._available[hold.debit] += rest
        self._post([(hold.debit, -amount), (hold.credit, amount)])

    def _void(self, _: str, data: Data) -> None:
        hold = self._open_hold(data)
        self._hold(hold.debit, -hold.left)
        self._available[hold.debit] += hold.left
        hold.left = 0

    def _open_hold(self, data: Data) -> Hold:
        hold = self._holds.get(data["hold"])
        if hold is None:
            raise Refused("hold_not_found")
        if not hold.left:
            raise Refused("hold_closed")
        return hold

    def _request(self, _: str, data: Data) -> None:
        amount, fee = data["amount"], data["fee"]["amount"]
        self._spend(data["debit"], amount)
        self._hold(data["debit"], amount)
        self._asked.append(Asked(data["debit"], data["credit"], amount, fee, refunded=False))
        self.books.payments += 1

    def _spend(self, account: str, amount: int) -> None:
        if account.startswith("external:"):
            return
        if self._available.get(account, 0) < amount:
            raise Refused("insufficient_funds")
        self._available[account] -= amount

    def _post(self, lines: list[tuple[str, int]]) -> None:
        """Count the entries; what is spent left `available` before."""
        self.books.transactions += 1
        for account, amount in lines:
            self.books.move((self._tenant, account, ASSET), amount)
            if amount > 0:
                self._available[account] = self._available.get(account, 0) + amount

    def _hold(self, account: str, amount: int) -> None:
        self.books.hold((self._tenant, account, ASSET), amount)


def read(value: bytes) -> Data | None:
    """Give the event, or None for what cannot be one; of all that can be wrong, the mix does only this."""
    try:
        event: Data = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    data = event.get("data", {})
    sound = (
        event.get("type") in TYPES
        and isinstance(data.get("amount", 0), int)
        and data.get("asset", ASSET) == ASSET
    )
    return event if sound else None
