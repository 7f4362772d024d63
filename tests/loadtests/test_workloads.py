"""Workloads give the same records for the same seed, and those are what their names say."""

from collections import Counter
from itertools import islice
from typing import Any

import orjson
import pytest

from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.domain.ids import time_ms_of
from loadtests.workloads import NOISY_TENANT, WORKLOADS, UnknownWorkloadError, Workload, named

AT_MS = 1_800_000_000_000
COUNT = 600
SMALL = [workload for workload in WORKLOADS.values() if workload.name != "wide"]
NAMES = [workload.name for workload in SMALL]


def events(name: str, count: int = COUNT, seed: int = 1) -> list[dict[str, Any]]:
    return [orjson.loads(record.value) for record in named(name).records(count, seed, AT_MS)]


def test_the_ten_workloads_are_there() -> None:
    assert set(WORKLOADS) == {
        "uniform",
        "zipf",
        "hot",
        "wide",
        "duplicates",
        "mixed",
        "multi_entry",
        "payments",
        "reads_beside_writes",
        "noisy_tenant",
    }


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownWorkloadError, match="uniform, zipf"):
        named("uniformly")


@pytest.mark.parametrize("workload", SMALL, ids=NAMES)
def test_one_seed_is_one_stream(workload: Workload) -> None:
    first, again, other = (list(workload.records(COUNT, seed, AT_MS)) for seed in (1, 1, 2))

    assert first == again
    assert not {record.value for record in first} & {record.value for record in other} - {
        b"not json",
        b"[" * 5000,
    }


@pytest.mark.parametrize("workload", SMALL, ids=NAMES)
@pytest.mark.parametrize("count", [1, 2, COUNT])
def test_as_many_records_come_as_were_asked_for(workload: Workload, count: int) -> None:
    assert len(list(workload.records(count, 1, AT_MS))) == count


@pytest.mark.parametrize("workload", SMALL, ids=NAMES)
def test_records_are_events_of_the_contract(workload: Workload) -> None:
    records = [*islice(workload.preamble(1, AT_MS), 10), *workload.records(COUNT, 1, AT_MS)]
    faults = 0
    for record in records:
        try:
            event = decode_event(record.value)
        except NotAnEventError:
            faults += 1
            continue
        assert record.key is not None
        assert record.key.startswith(f"{event.tenant}/".encode())
        assert AT_MS - 120_000 < time_ms_of(event.id) <= AT_MS

    assert faults == workload.expected(COUNT, 1).dead_letters


@pytest.mark.parametrize("workload", SMALL, ids=NAMES)
def test_ids_come_once_but_for_repeats(workload: Workload) -> None:
    expected = workload.expected(COUNT, 1)
    sent = COUNT + len(list(workload.preamble(1, AT_MS)))
    legs = expected.payments + expected.outcomes["account_closed"]

    assert expected.ids == sent + legs - expected.repeats - expected.reused - expected.dead_letters


def test_hot_pays_one_merchant() -> None:
    assert {event["data"]["credit"] for event in events("hot")} == {"merchant:hot"}


def test_zipf_prefers_few() -> None:
    paid = Counter(event["data"]["credit"] for event in events("zipf", 5000))

    assert paid["customer:0"] > 300
    assert len(paid) > 500


def test_uniform_prefers_nobody() -> None:
    paid = Counter(event["data"]["credit"] for event in events("uniform", 5000))

    assert paid.most_common(1)[0][1] < 10


def test_wide_moves_money_between_a_million_accounts_that_stand() -> None:
    wide = named("wide")
    touched = {orjson.loads(record.value)["data"]["debit"] for record in wide.records(COUNT, 1, AT_MS)}

    assert wide.ground is not None
    assert wide.ground.accounts == 1_000_000
    assert list(wide.preamble(1, AT_MS)) == []
    assert len(touched) > 0.99 * COUNT


def test_three_in_ten_are_duplicates() -> None:
    records = list(named("duplicates").records(5000, 1, AT_MS))

    assert 0.27 < 1 - len(set(records)) / 5000 < 0.33


def test_multi_entry_transactions_sum_to_zero() -> None:
    entries = [event["data"]["entries"] for event in events("multi_entry")]

    assert {sum(line["amount"] for line in each) for each in entries} == {0}
    assert {len(each) for each in entries} == set(range(3, 9))


def test_the_noisy_tenant_sends_fifty_times_as_much() -> None:
    tenants = Counter(event["tenant"] for event in events("noisy_tenant", 510))

    assert tenants.pop(NOISY_TENANT) == 500
    assert sum(tenants.values()) == 10
