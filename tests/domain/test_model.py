"""The domain against a second opinion that works everything out from its journal, event by event."""

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from ledger.domain.payments.saga import Step
from ledger.domain.transaction import is_unbalanced
from tests.builders import INT64_MAX, event, event_id
from tests.naive import NaiveBooks
from tests.random_events import ACCOUNTS, random_command
from tests.scripts import Desk


class Everything(set[tuple[str, str]]):
    def __contains__(self, _: object) -> bool:
        return True


class Pair:
    """The domain and the second opinion, given the same events."""

    def __init__(self, *, auto_open: bool) -> None:
        self.desk = Desk(auto_open=auto_open)
        self.desk.books.watched = Everything()
        self.naive = NaiveBooks(auto_open=auto_open)
        self.made: list[tuple[int, str]] = []
        self.answers: Counter[str] = Counter()

    def send(self, event_type: str, data: dict[str, Any]) -> str:
        sent = event(event_type, data, name=len(self.made))
        self.made.append((len(self.made), event_type))
        outcome = self.desk.handle(sent)
        answer = str(outcome.reason or outcome.kind)
        assert answer == self.naive.answer(sent, self.desk.clock.now()), sent
        self.answers[answer] += 1
        return sent.id

    def send_of_saga(self, payment: str, step: Step) -> str:
        """Store the id of the next event in the payment's saga, and send it."""
        held, known = self.desk.books.holds.get(("acme", payment)), self.naive.holds.get(payment)
        if held is not None and held.guard is not None and known is not None:
            next_id = event_id(len(self.made))
            held.guard = msgspec.structs.replace(held.guard, event_id=next_id, step=step)
            known.only = (next_id, step.value)
        verb = "capture" if step is Step.CAPTURE else "void"
        return self.send(f"hold.{verb}.v1", {"hold": payment})

    def compare(self) -> None:
        for (_, code, asset), balance in self.desk.books.balances.items():
            lines = self.naive.lines(code, asset)
            assert (balance.balance, balance.held, balance.version) == (
                self.naive.balance(code, asset),
                self.naive.held(code, asset),
                len(lines),
            )
            overdraft = balance.account.overdraft
            assert overdraft is None or balance.available >= -overdraft

    def check_zero(self) -> None:
        for posted in self.desk.books.changes.transactions:
            assert not is_unbalanced((entry.asset, entry.amount) for entry in posted.entries)


accounts = st.sampled_from(ACCOUNTS)
assets = st.sampled_from(["USD/2", "JPY/0"])
amounts = st.integers(1, 60) | st.sampled_from([0, INT64_MAX, INT64_MAX + 1, INT64_MAX - 7])
parts = st.none() | st.integers(1, 40) | st.sampled_from([0, INT64_MAX])


def optional(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


class BooksMachine(RuleBasedStateMachine):
    """Any order of any events, with clocks that jump."""

    transactions = Bundle("transactions")
    holds = Bundle("holds")
    payments = Bundle("payments")

    @initialize(target=transactions, auto_open=st.sampled_from([True, True, True, False]))
    def begin(self, auto_open: bool) -> str:
        self.pair = Pair(auto_open=auto_open)
        return event_id("nothing")

    @initialize(target=payments)
    def no_payment(self) -> str:
        return event_id("nothing")

    @initialize(target=holds)
    def no_hold(self) -> str:
        return event_id("nothing")

    @rule(account=accounts, side=st.sampled_from(["credit", "debit"]), overdraft=st.none() | st.just(40))
    def open(self, account: str, side: str, overdraft: int | None) -> None:
        self.pair.send(
            "account.open.v1", {"account": account, "normal_side": side} | optional(overdraft=overdraft)
        )

    @rule(account=accounts)
    def close(self, account: str) -> None:
        self.pair.send("account.close.v1", {"account": account})

    @rule(target=transactions, debit=accounts, credit=accounts, amount=amounts, asset=assets)
    def transfer(self, debit: str, credit: str, amount: int, asset: str) -> str:
        data = {"debit": debit, "credit": credit, "amount": amount, "asset": asset}
        return self.pair.send("transfer.post.v1", data)

    @rule(
        target=transactions,
        lines=st.lists(st.tuples(accounts, st.integers(-9, 9)), min_size=1, max_size=4),
        to=accounts,
    )
    def post(self, lines: list[tuple[str, int]], to: str) -> str:
        rest = -sum(amount for _, amount in lines)
        entries = [
            {"account": name, "asset": "USD/2", "amount": amount} for name, amount in [*lines, (to, rest)]
        ]
        return self.pair.send("transaction.post.v1", {"entries": entries})

    @rule(
        target=holds, debit=accounts, credit=accounts, amount=amounts, life_s=st.none() | st.integers(-5, 90)
    )
    def hold(self, debit: str, credit: str, amount: int, life_s: int | None) -> str:
        data: dict[str, Any] = {"debit": debit, "credit": credit, "amount": amount, "asset": "USD/2"}
        if life_s is not None:
            data["expires_at"] = (self.pair.desk.clock.now() + timedelta(seconds=life_s)).isoformat()
        return self.pair.send("hold.place.v1", data)

    @rule(target=transactions, of=transactions | holds, amount=parts)
    def reverse(self, of: str, amount: int | None) -> str:
        return self.pair.send("transaction.reverse.v1", {"transaction": of} | optional(amount=amount))

    @rule(target=transactions, of=holds, amount=parts, final=st.booleans())
    def capture(self, of: str, amount: int | None, final: bool) -> str:
        return self.pair.send("hold.capture.v1", {"hold": of, "final": final} | optional(amount=amount))

    @rule(of=holds)
    def void(self, of: str) -> None:
        self.pair.send("hold.void.v1", {"hold": of})

    @rule(
        target=payments,
        debit=accounts,
        credit=accounts,
        amount=amounts,
        fee=st.none() | st.tuples(accounts, st.sampled_from([0, 1, 5, INT64_MAX])),
        provider=st.sampled_from(["bank", "bank", "bank", "nobody"]),
    )
    def pay(self, debit: str, credit: str, amount: int, fee: tuple[str, int] | None, provider: str) -> str:
        data = {"debit": debit, "credit": credit, "amount": amount, "asset": "USD/2", "provider": provider}
        asked = None if fee is None else {"account": fee[0], "amount": fee[1]}
        return self.pair.send("payment.request.v1", data | optional(fee=asked))

    @rule(target=transactions, of=payments, amount=parts, final=st.booleans())
    def capture_of_a_stranger(self, of: str, amount: int | None, final: bool) -> str:
        return self.pair.send("hold.capture.v1", {"hold": of, "final": final} | optional(amount=amount))

    @rule(of=payments)
    def void_of_a_stranger(self, of: str) -> None:
        self.pair.send("hold.void.v1", {"hold": of})

    @rule(target=transactions, of=payments, step=st.sampled_from([Step.CAPTURE, Step.RELEASE]))
    def saga(self, of: str, step: Step) -> str:
        return self.pair.send_of_saga(of, step)

    @rule(seconds=st.integers(-60, 100))
    def wait(self, seconds: int) -> None:
        self.pair.desk.clock.move(seconds)

    @invariant()
    def stands(self) -> None:
        if hasattr(self, "pair"):
            self.pair.compare()

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check_zero()


TestBooks = BooksMachine.TestCase
TestBooks.settings = settings(stateful_step_count=40)


def test_long_random_lives_agree_with_the_model() -> None:
    met: Counter[str] = Counter()
    for seed in range(40):
        chance = Random(seed)
        pair = Pair(auto_open=seed % 4 > 0)
        for _ in range(120):
            payments = [name for name, event_type in pair.made if event_type == "payment.request.v1"]
            if payments and chance.random() < 0.05:
                step = chance.choice([Step.CAPTURE, Step.RELEASE])
                pair.send_of_saga(event_id(chance.choice(payments)), step)
            pair.send(*random_command(chance, pair.made))
            if chance.random() < 0.05:
                pair.desk.clock.move(chance.randint(-30, 60))
        pair.compare()
        met += pair.answers
    reached = {"posted", "duplicate"} | set(REACHED)
    assert reached <= set(met), f"never met: {reached - set(met)}"


REACHED = [
    "unbalanced",
    "same_account",
    "amount_out_of_range",
    "account_not_found",
    "account_exists_differently",
    "account_closed",
    "account_not_empty",
    "transaction_not_found",
    "already_reversed",
    "exceeds_original",
    "hold_not_found",
    "hold_closed",
    "hold_expired",
    "exceeds_hold",
    "unknown_provider",
    "insufficient_funds",
]
