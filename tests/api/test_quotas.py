"""Quotas: a tenant gets its share and no more, whatever others send, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.api.facts import RequestFacts
from ledger.api.problems import RateLimitedError
from ledger.api.quotas import BURST_S, Quotas, TokenBuckets
from ledger.application.access import Caller
from tests.fakes import RememberedSignals

ACME = Caller(1, "acme", "key", frozenset({"read"}))
GLOBEX = Caller(2, "globex", "key", frozenset({"read"}))


class Hand:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def admitted(quotas: Quotas, caller: Caller, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            quotas.admit_request(caller, RequestFacts("id"))
            count += 1
        except RateLimitedError:
            break
    return count


def test_a_tenant_may_use_two_seconds_worth_at_once_and_then_its_rate() -> None:
    clock = Hand()
    quotas = Quotas(10, 0, RememberedSignals(), clock)
    assert admitted(quotas, ACME, 100) == 10 * BURST_S
    clock.time += 0.5
    assert admitted(quotas, ACME, 100) == 5


def test_another_tenant_does_not_feel_it() -> None:
    quotas = Quotas(10, 0, RememberedSignals(), Hand())
    assert (admitted(quotas, ACME, 1000), admitted(quotas, GLOBEX, 20)) == (20, 20)


def test_what_is_refused_says_when_to_come_back() -> None:
    signals = RememberedSignals()
    quotas = Quotas(0.5, 0, signals, Hand())
    facts = RequestFacts("id")
    quotas.admit_request(ACME, facts)
    assert facts.headers == {
        "RateLimit-Policy": '"requests";q=1;w=2',
        "RateLimit": '"requests";r=0;t=2',
    }
    with pytest.raises(RateLimitedError) as caught:
        quotas.admit_request(ACME, RequestFacts("id"))
    assert (caught.value.headers, signals.names()) == ({"Retry-After": "2"}, ["request.rate_limited"])


def test_both_quotas_are_told() -> None:
    quotas, facts = Quotas(10, 100, RememberedSignals(), Hand()), RequestFacts("id")
    quotas.admit_request(ACME, facts)
    quotas.admit_events(ACME, 150, facts)
    assert facts.headers["RateLimit-Policy"] == '"requests";q=20;w=2, "events";q=200;w=2'
    assert facts.headers["RateLimit"] == '"requests";r=19;t=1, "events";r=50;t=2'


def test_a_rate_of_zero_is_no_limit() -> None:
    quotas, facts = Quotas(0, 0, RememberedSignals(), Hand()), RequestFacts("id")
    quotas.admit_events(ACME, 10**9, facts)
    assert facts.headers == {}


def test_more_than_a_bucket_holds_is_let_in_when_it_is_full_and_paid_for() -> None:
    buckets = TokenBuckets(100)
    assert buckets.take(1, 1000, 0.0).retry_s == 0
    assert buckets.take(1, 1, 7.0).retry_s > 0
    assert buckets.take(1, 1, 8.1).retry_s == 0


def test_buckets_are_bounded() -> None:
    buckets = TokenBuckets(1, tenants_max=3)
    for tenant in range(10):
        buckets.take(tenant, 1, 0.0)
    assert len(buckets._buckets) == 3


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), max_size=50))
def test_no_more_than_the_rate_ever_passes(steps: list[tuple[float, int]]) -> None:
    buckets, now, passed = TokenBuckets(10), 0.0, 0
    for wait, count in steps:
        now += wait
        if not buckets.take(1, count, now).retry_s:
            passed += count
    # The last one let in may be larger than a bucket.
    assert passed <= 10 * BURST_S + 10 * now + 30
