"""Scripts: postings as a table of text, a line an event, with what becomes of it behind a bar.

    open cash debit overdraft=100         | posted
    t: transfer external:bank ann 1000    | posted        `t:` names the event; USD/2 unless said
    post ann:-5 bob:3 eve@JPY/0:2         | posted
    reverse t 400                         | posted
    h: hold ann shop 70 expires=60        | posted        expires in seconds from the start
    capture h 20 more                     | posted        `more`: not the final capture
    void h                                | posted
    pay ann shop 70 by=bank fee=fees:2    | posted        a payment; `bank` is a provider
    close ann                             | account_not_empty
    clock 3600                                            moves the clock
    show ann                              | 530 held 0 version 3

Two lines of one name are one id used twice.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from textwrap import dedent
from typing import Any, NamedTuple

from ledger.domain.account import Balance
from ledger.domain.books import Books, Rules, needs_of
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from ledger.domain.posting import decide
from tests.builders import NOW, USD, HandClock, event, event_id

Settings = dict[str, str]
Data = dict[str, Any]


class Step(NamedTuple):
    """One line: an event to handle, or seconds to wait, or a balance (account, asset) to show."""

    said: str
    expected: str
    event: Event | None = None
    wait_s: float = 0.0
    show: tuple[str, str] = ("", "")

    def written(self, result: str) -> str:
        return f"{self.said:50} | {result}".rstrip(" |")


def parse(text: str, tenant: str = "acme") -> list[Step]:
    """Read a script; ids come from the names, or else the numbers, of its lines."""
    lines = filter(str.strip, dedent(text).splitlines())
    return [_step(line, number, tenant) for number, line in enumerate(lines)]


def meant(steps: Iterable[Step]) -> str:
    return "\n".join(step.written(step.expected) for step in steps)


def shown(balance: Balance) -> str:
    return f"{balance.balance} held {balance.held} version {balance.version}"


def _step(line: str, number: int, tenant: str) -> Step:
    said, _, expected = (part.strip() for part in line.partition("|"))
    name, verb, *words = said.split() if said.split()[0].endswith(":") else (f"line {number}", *said.split())
    if verb == "clock":
        return Step(said, expected, wait_s=float(words[0]))
    if verb == "show":
        return Step(said, expected, show=(words[0], words[1] if len(words) > 1 else USD))
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    event_type, write = _VERBS[verb]
    data = write([word for word in words if "=" not in word], settings)
    return Step(said, expected, event(event_type, data, name=name.removesuffix(":"), tenant=tenant))


def _open(words: list[str], settings: Settings) -> Data:
    data: Data = {"account": words[0]}
    if len(words) > 1:
        data["normal_side"] = words[1]
    if "overdraft" in settings:
        limit = settings["overdraft"]
        data["overdraft"] = int(limit) if limit.isdigit() else limit
    if "note" in settings:
        data["metadata"] = {"note": settings["note"]}
    return data


def _close(words: list[str], settings: Settings) -> Data:
    return {"account": words[0]}


def _movement(words: list[str], settings: Settings) -> Data:
    data: Data = {"debit": words[0], "credit": words[1], "amount": int(words[2])}
    data["asset"] = settings.get("asset", USD)
    if "expires" in settings:
        data["expires_at"] = (NOW + timedelta(seconds=float(settings["expires"]))).isoformat()
    return data


def _pay(words: list[str], settings: Settings) -> Data:
    data = _movement(words, settings) | {"provider": settings.get("by", "bank")}
    if "fee" in settings:
        account, _, amount = settings["fee"].rpartition(":")
        data["fee"] = {"account": account, "amount": int(amount)}
    return data


def _post(words: list[str], settings: Settings) -> Data:
    return {"entries": [_entry(word) for word in words]}


def _entry(word: str) -> Data:
    place, _, amount = word.rpartition(":")
    account, _, asset = place.partition("@")
    return {"account": account, "asset": asset or USD, "amount": int(amount)}


def _reverse(words: list[str], settings: Settings) -> Data:
    return {"transaction": event_id(words[0]), **_amount(words[1:])}


def _amount(words: list[str]) -> Data:
    return {"amount": int(words[0])} if words else {}


def _capture(words: list[str], settings: Settings) -> Data:
    final = {"final": False} if "more" in words else {}
    return {"hold": event_id(words[0]), **_amount([word for word in words[1:] if word != "more"]), **final}


def _void(words: list[str], settings: Settings) -> Data:
    return {"hold": event_id(words[0])}


_VERBS: dict[str, tuple[str, Callable[[list[str], Settings], Data]]] = {
    "open": ("account.open.v1", _open),
    "close": ("account.close.v1", _close),
    "transfer": ("transfer.post.v1", _movement),
    "post": ("transaction.post.v1", _post),
    "reverse": ("transaction.reverse.v1", _reverse),
    "hold": ("hold.place.v1", _movement),
    "capture": ("hold.capture.v1", _capture),
    "void": ("hold.void.v1", _void),
    "pay": ("payment.request.v1", _pay),
}


class Desk:
    """The domain alone: one event after the other, decided against books that are kept nowhere."""

    def __init__(self, *, auto_open: bool = True, rules: Rules | None = None) -> None:
        self.books = Books(auto_open={"acme": auto_open}, providers={("acme", "bank")})
        self.clock = HandClock()
        self.rules = rules or Rules()

    def handle(self, event: Event) -> Outcome:
        return decide(event, self.books, self.clock.now(), self.rules)

    def went(self, steps: list[Step]) -> str:
        """Run a script; write it as it went."""
        self.books.watched |= needs_of(step.event for step in steps if step.event).originals
        return "\n".join(step.written(self._run(step)) for step in steps)

    def _run(self, step: Step) -> str:
        self.clock.move(step.wait_s)
        if step.event is not None:
            outcome = self.handle(step.event)
            return outcome.reason or outcome.kind
        return shown(self.books.balance("acme", *step.show)) if step.show[0] else step.expected


def check(text: str, desk: Desk | None = None) -> Desk:
    """Run a script on the domain, and compare it with what was meant, line by line."""
    desk = desk or Desk()
    steps = parse(text)
    assert desk.went(steps) == meant(steps)
    return desk


async def went(
    steps: list[Step],
    clock: HandClock,
    handle: Callable[[Event], Awaitable[Outcome]],
    show: Callable[[str, str], Awaitable[str]],
) -> str:
    """Run a script on anything that handles one event and shows one balance; write it as it went."""
    lines = []
    for step in steps:
        clock.move(step.wait_s)
        result = step.expected
        if step.event is not None:
            outcome = await handle(step.event)
            result = outcome.reason or outcome.kind
        elif step.show[0]:
            result = await show(*step.show)
        lines.append(step.written(result))
    return "\n".join(lines)
