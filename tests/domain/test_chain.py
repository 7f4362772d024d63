"""The audit chain: what a transaction's digest covers, and what a walk along the links finds."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ledger.domain.chain import (
    ChainedLine,
    ChainedTransaction,
    Head,
    Link,
    Walk,
    canonical_form,
    canonical_json,
    digest_of,
    extend,
    first_head,
)
from ledger.domain.moments import microseconds
from tests.builders import NOW, USD, event_id

NOW_US = microseconds(NOW)

Pair = tuple[Link, ChainedTransaction | None]


def posted(name: object, amount: int = 5, **more: Any) -> ChainedTransaction:
    lines = (
        ChainedLine("ann", USD, -amount, 2, 10, 20, NOW_US),
        ChainedLine("shop", USD, amount, 1, 0, amount, NOW_US),
    )
    given = {"reference": None, "metadata": None, "reverses": None, "captures": None, "lines": lines, **more}
    return ChainedTransaction("acme", event_id(name), "transfer.post.v1", NOW_US, NOW_US, **given)


ROWS = [posted(number, 5 + number) for number in range(6)]
LINKS = extend("acme", first_head("acme"), ROWS)


def walked(pairs: Sequence[Pair], head: Head | None = LINKS[-1].head) -> list[tuple[str, int]]:
    """Walk, and give what is wrong with which number."""
    walk = Walk("acme")
    faults = [fault for link, row in pairs for fault in walk.look(link, row)]
    return [(fault.what, fault.number) for fault in (*faults, *walk.end(head))]


def pairs() -> list[Pair]:
    return list(zip(LINKS, ROWS, strict=True))


def changed(struct: Any, **more: Any) -> Any:
    return msgspec.structs.replace(struct, **more)


# Digests


def test_canonical_form_is_plain_json() -> None:
    row = posted("e", reference='a "b" \n\x1f é/', metadata=canonical_json({"b": [1.50, True], "a": None}))
    text = canonical_form(row).decode()
    found = json.loads(text)
    assert text == json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    assert found[:5] == [1, "acme", event_id("e"), "transfer.post.v1", NOW_US]
    assert found[7] == '{"a":null,"b":[15e-1,true]}'
    assert found[10] == [["ann", USD, -5, 2, 10, 20, NOW_US], ["shop", USD, 5, 1, 0, 5, NOW_US]]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ((0, 0.0, -0.0, Decimal("0.000")), "0"),
        ((1, 1.0, Decimal("1.00"), Decimal("10e-1")), "1e0"),
        ((1e23, 10**23, Decimal("1e23"), Decimal(10**23)), "1e23"),
        ((-0.1, Decimal("-0.10")), "-1e-1"),
        ((12_300, Decimal("123E+2")), "123e2"),
        ((10**40 + 1, Decimal(10**40 + 1)), f"{10**40 + 1}e0"),
    ],
)
def test_equal_numbers_are_written_alike(values: Sequence[Any], written: str) -> None:
    assert {canonical_json(value) for value in values} == {written}


def test_number_is_no_text_and_true_is_no_number() -> None:
    assert (
        len({canonical_json(value) for value in (1, "1e0", True, "true", None, "null", [1], {"1": 1})}) == 8
    )


LINE = ROWS[0].lines[0]
SECOND = ROWS[0].lines[1]
OTHERS: dict[str, dict[str, Any]] = {
    "tenant": {"tenant": "other"},
    "id": {"event_id": event_id("other")},
    "type": {"type": "transaction.post.v1"},
    "posted_at": {"posted_at_us": NOW_US + 1},
    "effective_at": {"effective_at_us": NOW_US - 1},
    "reference": {"reference": ""},
    "metadata": {"metadata": "{}"},
    "reverses": {"reverses": event_id("other")},
    "captures": {"captures": event_id("other")},
    "order of lines": {"lines": (SECOND, LINE)},
    "a line less": {"lines": (LINE,)},
    "account": {"lines": (changed(LINE, account="eve"), SECOND)},
    "account that is gone": {"lines": (changed(LINE, account=None), SECOND)},
    "asset": {"lines": (changed(LINE, asset="EUR/2"), SECOND)},
    "amount": {"lines": (changed(LINE, amount=-6), SECOND)},
    "version": {"lines": (changed(LINE, version=3), SECOND)},
    "posted_debits": {"lines": (changed(LINE, posted_debits=11), SECOND)},
    "posted_credits": {"lines": (changed(LINE, posted_credits=21), SECOND)},
    "time of a line": {"lines": (changed(LINE, posted_at_us=NOW_US + 1), SECOND)},
}


def test_every_part_of_a_transaction_is_in_its_digest() -> None:
    digests = {digest_of(changed(ROWS[0], **other)) for other in OTHERS.values()}
    assert len(digests | {digest_of(ROWS[0])}) == len(OTHERS) + 1


def test_hashes_never_change() -> None:
    """What was exported years ago must still be found: another form is another number in FORM."""
    assert first_head("acme").hash.hex()[:16] == "d4d56e23509d9910"
    assert LINKS[0].digest.hex()[:16] == "011382f1a9289b9c"
    assert LINKS[0].hash.hex()[:16] == "cd447a83ebcd191f"


# Walks


def test_chain_that_nobody_touched_is_right() -> None:
    assert walked(pairs()) == []


def test_links_are_the_same_however_they_are_added() -> None:
    first = extend("acme", first_head("acme"), ROWS[:2])
    assert first + extend("acme", first[-1].head, ROWS[2:]) == LINKS


def test_no_two_tenants_begin_alike() -> None:
    assert first_head("acme") != first_head("acm")


def test_late_links_have_other_hashes() -> None:
    assert extend("acme", first_head("acme"), ROWS, late=True)[0].hash != LINKS[0].hash


def swap_rows(given: list[Pair]) -> None:
    (one, first), (other, second) = given[1], given[4]
    if first is None or second is None:
        raise ValueError("there is nothing to swap")
    given[1] = one, changed(second, event_id=first.event_id)
    given[4] = other, changed(first, event_id=second.event_id)


def swap_links(given: list[Pair]) -> None:
    (one, first), (other, second) = given[1], given[4]
    given[1], given[4] = (changed(other, number=2), second), (changed(one, number=5), first)


def put(index: int, **more: Any) -> Callable[[list[Pair]], None]:
    def change(given: list[Pair]) -> None:
        link, row = given[index]
        given[index] = changed(link, **more), row

    return change


def take_row(given: list[Pair]) -> None:
    given[3] = given[3][0], None


def change_row(given: list[Pair]) -> None:
    given[3] = given[3][0], changed(ROWS[3], reference="changed")


def take_link(given: list[Pair]) -> None:
    del given[3]


def take_links_at_the_end(given: list[Pair]) -> None:
    del given[4:]


def close_up(given: list[Pair]) -> None:
    del given[3]
    given[3:] = [(changed(link, number=link.number - 1), row) for link, row in given[3:]]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (change_row, [("the transaction was changed", 4)]),
        (take_row, [("the transaction is gone", 4)]),
        (swap_rows, [("the transaction was changed", 2), ("the transaction was changed", 5)]),
        (put(3, hash=b"x" * 32), [("the link was changed", 4)]),
        (
            put(3, digest=b"x" * 32),
            [("the link was changed", 4), ("the transaction was changed", 4)],
        ),
        (put(3, late=True), [("the link was changed", 4)]),
        (put(5, hash=b"x" * 32), [("the link was changed", 6), ("the end of the chain was changed", 6)]),
        (take_link, [("links are missing from here on", 4)]),
        (take_links_at_the_end, [("links are missing from here on", 5)]),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_walk_names_the_place(change: Callable[[list[Pair]], None], found: list[tuple[str, int]]) -> None:
    given = pairs()
    change(given)
    assert walked(given) == found


@pytest.mark.parametrize(("change", "number"), [(swap_links, 2), (close_up, 4)])
def test_walk_names_the_first_link_that_was_moved(change: Callable[[list[Pair]], None], number: int) -> None:
    given = pairs()
    change(given)
    assert walked(given)[0] == ("the link was changed", number)


def test_links_beyond_the_end_are_told() -> None:
    assert walked(pairs(), LINKS[3].head) == [("links come after the end of the chain", 5)]


def test_end_that_is_gone_is_told() -> None:
    assert walked(pairs(), None) == [("the end of the chain is not known any more", 6)]


def test_chain_written_anew_is_right_in_itself() -> None:
    """Against that, there are checkpoints elsewhere."""
    rows = [*ROWS[:3], changed(ROWS[3], reference="changed"), *ROWS[4:]]
    links = extend("acme", first_head("acme"), rows)
    assert walked(list(zip(links, rows, strict=True)), links[-1].head) == []
