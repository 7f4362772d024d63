"""The checker's own double-entry model: what the books decide is right by it, and what they may not decide is named."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.post_events import Batch, PostEvents
from ledger.contract.decode import decode_event
from ledger.domain.books import Rules
from ledger.domain.outcome import Outcome
from loadtests.chaos.checker.events import Event, read_record
from loadtests.chaos.checker.judging import Decision, Entry, Judge
from loadtests.chaos.checker.model import Model
from loadtests.chaos.checker.report import Finding
from tests.builders import NOW, HandClock, body, encoded, event_id
from tests.fakes import RememberedSignals
from tests.random_events import random_command

USD = "USD/2"


def values(chance: Random, count: int) -> list[bytes]:
    """Make events over few accounts; about a sixth has an id that was used before."""
    made: list[tuple[int, str]] = []
    found: list[bytes] = []
    for number in range(count):
        luck = chance.random()
        if found and luck < 0.11:
            found.append(chance.choice(found))
            continue
        name = chance.randrange(number) if number and luck < 0.15 else number
        event_type, data = random_command(chance, made)
        made.append((number, event_type))
        found.append(encoded(body(event_type, data, name=name)))
    return found


async def decided(values: Sequence[bytes], chance: Random) -> list[Decision]:
    """Have the real use case decide them, in batches of any size, and give what the books would say of each id."""
    store, clock = MemoryBooks(), HandClock()
    store.contents.providers["acme", "bank"] = {}
    post = PostEvents(store, clock, Rules(), RememberedSignals(), backoff_max_s=0.01)
    found: dict[str, Decision] = {}
    at = 0
    while at < len(values):
        some = values[at : at + chance.randint(1, 9)]
        clock.move(chance.choice([0.01, 1.0, 30.0]))
        events = [
            decode_event(value, topic="payments", partition=0, offset=at + number)
            for number, value in enumerate(some)
        ]
        for value, outcome in zip(some, await post(Batch(events)), strict=True):
            found.setdefault(outcome.event.id, decision_of(value, outcome, clock.now()))
        at += len(some)
    return list(found.values())


def decision_of(value: bytes, outcome: Outcome, now: datetime) -> Decision:
    event = read_record(value)
    assert isinstance(event, Event)
    entries = [
        Entry(each.account, each.asset, each.amount, each.version, each.posted_debits, each.posted_credits)
        for each in outcome.entries
    ]
    reason = None if outcome.reason is None else outcome.reason.value
    return Decision(outcome.event.tenant, outcome.event.id, outcome.kind, reason, now, 0, event, entries)


def judged(decisions: Iterable[Decision]) -> list[Finding]:
    decisions = list(decisions)
    reversed_ids = {
        (each.tenant, each.event.data["transaction"].lower())
        for each in decisions
        if each.event is not None and each.event.type == "transaction.reverse.v1"
    }
    judge = Judge(Model(providers={("acme", "bank")}, reversed_ids=reversed_ids))
    found = [finding for each in decisions for finding in judge.take(each)]
    return [*found, *judge.end()]


@pytest.mark.parametrize("seed", range(12))
async def test_what_the_books_decide_is_right(seed: int) -> None:
    chance = Random(seed)
    decisions = await decided(values(chance, 250), chance)
    assert judged(decisions) == []
    assert {"posted", "rejected"} <= {each.kind for each in decisions}


# What is planted in decisions by hand


def of(name: str, event_type: str, data: dict[str, Any], kind: str, *entries: Entry, **more: Any) -> Decision:
    event = read_record(encoded(body(event_type, data, name=name)))
    assert isinstance(event, Event)
    return Decision("acme", event.id, kind, more.get("reason"), more.get("now", NOW), 0, event, entries)


def moved(amount: int = 100, debit: str = "external:bank", credit: str = "ann") -> dict[str, Any]:
    return {"debit": debit, "credit": credit, "amount": amount, "asset": USD}


FUNDS = of(
    "funds",
    "transfer.post.v1",
    moved(),
    "posted",
    Entry("external:bank", USD, -100, 1, 100, 0),
    Entry("ann", USD, 100, 1, 0, 100),
)
SPENT = (Entry("ann", USD, -60, 2, 60, 100), Entry("shop", USD, 60, 1, 0, 60))
TWICE = (Entry("ann", USD, -60, 3, 120, 100), Entry("shop", USD, 60, 2, 0, 120))
HOLD = of("hold", "hold.place.v1", moved(60, "ann", "shop"), "posted")
VOID = {"hold": event_id("hold")}
BACK = (Entry("external:bank", USD, 100, 2, 100, 100), Entry("ann", USD, -100, 2, 100, 100))
REVERSED = of("back", "transaction.reverse.v1", {"transaction": FUNDS.id}, "posted", *BACK)
LATER = NOW + timedelta(days=100)

WRONG: list[tuple[str, Sequence[Decision], str, str]] = [
    (
        "more is spent than there is",
        [
            FUNDS,
            of("a", "transfer.post.v1", moved(60, "ann", "shop"), "posted", *SPENT),
            of("b", "transfer.post.v1", moved(60, "ann", "shop"), "posted", *TWICE),
        ],
        "B",
        "posted in spite of insufficient_funds",
    ),
    (
        "what is held is spent",
        [FUNDS, HOLD, of("a", "transfer.post.v1", moved(60, "ann", "shop"), "posted", *SPENT)],
        "B",
        "posted in spite of insufficient_funds",
    ),
    (
        "another amount is posted",
        [FUNDS, of("a", "transfer.post.v1", moved(50, "ann", "shop"), "posted", *SPENT)],
        "B",
        "entries are not what was asked for",
    ),
    (
        "entries are left out",
        [FUNDS, of("a", "transfer.post.v1", moved(60, "ann", "shop"), "posted", *SPENT[:1])],
        "B",
        "entries are not what was asked for",
    ),
    (
        "an unbalanced transaction is posted",
        [
            of(
                "a",
                "transaction.post.v1",
                {
                    "entries": [
                        {"account": "ann", "asset": USD, "amount": 5},
                        {"account": "bob", "asset": USD, "amount": 4},
                    ]
                },
                "posted",
                Entry("ann", USD, 5, 1, 0, 5),
                Entry("bob", USD, 4, 1, 0, 4),
            )
        ],
        "Z",
        "posted in spite of unbalanced",
    ),
    (
        "totals leave something out",
        [
            FUNDS,
            of(
                "a",
                "transfer.post.v1",
                moved(60, "ann", "shop"),
                "posted",
                SPENT[0]._replace(debits=61),
                SPENT[1],
            ),
        ],
        "B",
        "totals are not the sum of what came",
    ),
    (
        "a version is left out",
        [
            FUNDS,
            of(
                "a",
                "transfer.post.v1",
                moved(60, "ann", "shop"),
                "posted",
                SPENT[0]._replace(version=3),
                SPENT[1],
            ),
        ],
        "B",
        "entries follow on none",
    ),
    (
        "a hold is released twice",
        [FUNDS, HOLD, of("v", "hold.void.v1", VOID, "posted"), of("w", "hold.void.v1", VOID, "posted")],
        "S",
        "posted in spite of hold_closed",
    ),
    (
        "a hold that is not there is voided",
        [of("v", "hold.void.v1", VOID, "posted")],
        "S",
        "posted in spite of hold_not_found",
    ),
    (
        "a transaction is reversed twice",
        [FUNDS, REVERSED, of("more", "transaction.reverse.v1", {"transaction": FUNDS.id}, "posted")],
        "O",
        "posted in spite of already_reversed",
    ),
    (
        "an account is opened twice",
        [
            of("o", "account.open.v1", {"account": "ann"}, "posted"),
            of("p", "account.open.v1", {"account": "ann"}, "posted"),
        ],
        "O",
        "opened twice",
    ),
    (
        "what is new is called a duplicate",
        [of("o", "account.open.v1", {"account": "ann"}, "duplicate")],
        "O",
        "called a duplicate",
    ),
    ("an id of long ago is taken", [FUNDS._replace(now=LATER)], "O", "posted in spite of event_too_old"),
    (
        "what can be done is refused",
        [
            FUNDS,
            of("a", "transfer.post.v1", moved(60, "ann", "shop"), "rejected", reason="insufficient_funds"),
        ],
        "O",
        "refused otherwise",
    ),
    (
        "the reason is another",
        [of("a", "transfer.post.v1", moved(5, "ann", "ann"), "rejected", reason="insufficient_funds")],
        "O",
        "refused otherwise",
    ),
]


@pytest.mark.parametrize(
    ("decisions", "invariant", "what"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
def test_what_is_wrong_is_named(decisions: Sequence[Decision], invariant: str, what: str) -> None:
    assert [each[:2] for each in judged(decisions)][:1] == [(invariant, what)]


def test_decisions_of_other_partitions_wait_for_what_was_before_them() -> None:
    spent = of("a", "transfer.post.v1", moved(60, "ann", "shop"), "posted", *SPENT)
    assert judged([spent, FUNDS]) == []


def test_a_refusal_may_be_of_a_moment_before_another_partition_was_done() -> None:
    refused = of("a", "transfer.post.v1", moved(60, "ann", "shop"), "rejected", reason="insufficient_funds")
    assert judged([FUNDS._replace(partition=1), refused]) == []
    late = refused._replace(now=NOW + timedelta(minutes=3))
    assert [each.what for each in judged([FUNDS._replace(partition=1), late])] == ["refused otherwise"]
