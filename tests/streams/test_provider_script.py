"""The script of the provider simulator: pure, seeded, and the same in any order."""

import random
from typing import Any

import msgspec
import pytest

from streams.embedded.provider.script import About, Call, Rule, Script, delay_s, draw, form_of, rule_for


def script(*rules: dict[str, Any], seed: int = 7) -> Script:
    return msgspec.convert({"rules": rules, "seed": seed}, Script)


def about(key: str = "k", call: Call = "charge", account: str = "", reference: str = "") -> About:
    return About(call, key, "acme", account, reference)


def done(given: Script, what: About, *, age_s: float = 0.0, asked: int = 0) -> str:
    return rule_for(given, what, age_s=age_s, asked=asked).do


def test_without_rules_all_is_accepted() -> None:
    assert done(script(), about()) == "accept"


@pytest.mark.parametrize(
    ("rule", "what", "taken"),
    [
        ({"account": "customer:poor"}, about(account="customer:poor:7"), True),
        ({"account": "customer:poor"}, about(account="customer:rich"), False),
        ({"reference": "bad-"}, about(reference="bad-1"), True),
        ({"reference": "bad-"}, about(), False),
        ({"tenant": "acme"}, about(), True),
        ({"tenant": "other"}, about(), False),
        ({"on": ["refund"]}, about(call="refund"), True),
        ({"on": ["refund"]}, about(), False),
        ({}, about(call="status"), False),
        ({"share": 0}, about(), False),
    ],
)
def test_a_rule_is_about_some_calls(rule: dict[str, Any], what: About, taken: bool) -> None:
    assert (done(script({"do": "error", **rule}), what) == "error") is taken


@pytest.mark.parametrize(("age_s", "do"), [(0, "accept"), (5, "hang"), (64.9, "hang"), (65, "accept")])
def test_an_outage_has_its_time(age_s: float, do: str) -> None:
    assert done(script({"do": "hang", "from_s": 5, "until_s": 65}), about(), age_s=age_s) == do


def test_a_key_is_treated_so_only_so_often() -> None:
    rule = script({"do": "error", "times": 2})
    assert [done(rule, about(), asked=asked) for asked in range(3)] == ["error", "error", "accept"]


def test_shares_add_up_one_rule_after_another() -> None:
    given = script(
        {"do": "error", "share": 0.2}, {"do": "reset", "share": 0.1}, {"do": "decline", "share": 0.05}
    )
    keys = [about(f"key-{number}") for number in range(20_000)]
    counts = dict.fromkeys(("error", "reset", "decline", "accept"), 0)
    for each in keys:
        counts[done(given, each)] += 1
    shares = [round(count / len(keys), 2) for count in counts.values()]
    assert shares == [0.2, 0.1, 0.05, 0.65]


def test_a_key_fares_the_same_in_any_order_and_other_than_with_another_seed() -> None:
    rules = [{"do": "error", "share": 0.5}]
    keys = [f"key-{number}" for number in range(200)]
    first = {key: done(script(*rules), about(key)) for key in keys}
    random.Random(1).shuffle(keys)
    assert {key: done(script(*rules), about(key)) for key in keys} == first
    assert {key: done(script(*rules, seed=8), about(key)) for key in keys} != first


def test_waits_and_forms_are_drawn_too() -> None:
    slow = Rule(do="accept", delay_s=1.0, jitter_s=0.5)
    waits = {delay_s(Script(), slow, f"key-{number}") for number in range(50)}
    assert len(waits) == 50
    assert all(1.0 <= wait < 1.5 for wait in waits)
    assert len({form_of(Script(), Rule(do="malformed"), f"key-{number}") for number in range(200)}) == 9


def test_a_draw_is_from_nought_up_to_one() -> None:
    drawn = [draw(1, str(number)) for number in range(10_000)]
    assert 0 <= min(drawn) < 0.001
    assert 0.999 < max(drawn) < 1


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "dance"},
        {},
        {"do": "error", "share": 1.1},
        {"do": "error", "tims": 1},
        {"do": "error", "code": 200},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        script(rule)
