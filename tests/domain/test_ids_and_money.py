"""Ids, amounts and assets."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.adapters.system import SystemClock, new_event_id
from ledger.domain.ids import derived_id, time_ms_of
from ledger.domain.moments import milliseconds
from ledger.domain.money import AMOUNT_MAX, asset_fault, format_amount, in_range

TIMES = st.integers(0, 2**48 - 1)


@given(TIMES, st.lists(st.text(), max_size=3))
def test_derived_id_is_a_uuid7_of_its_time(time_ms: int, parts: list[str]) -> None:
    made = derived_id(time_ms, *parts)
    assert (time_ms_of(made), uuid.UUID(made).version, str(uuid.UUID(made))) == (time_ms, 7, made)


def test_derived_id_is_the_same_each_time() -> None:
    assert derived_id(5, "saga", "step") == derived_id(5, "saga", "step")


@pytest.mark.parametrize("parts", [("a", "bc"), ("abc",), ("", "abc"), ("ab", "c", "")])
def test_parts_are_kept_apart(parts: tuple[str, ...]) -> None:
    assert derived_id(5, *parts) != derived_id(5, "ab", "c")


def test_variant_is_that_of_rfc_9562() -> None:
    variants = {derived_id(5, str(number))[19] for number in range(200)}
    assert variants == set("89ab")


def test_fresh_id_has_the_time() -> None:
    now = milliseconds(SystemClock().now())
    assert 0 <= time_ms_of(new_event_id()) - now < 60_000


def test_milliseconds_round_down() -> None:
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=1999)) == 1


@pytest.mark.parametrize(
    "asset", ["USD/2", "JPY/0", "BHD/3", "CLF/4", "BTC/8", "XAU/6", "POINTS/0", "A" * 17 + "/99"]
)
def test_asset_is_right(asset: str) -> None:
    assert asset_fault(asset) is None


@pytest.mark.parametrize(
    "asset",
    [
        "USD/0",
        "USD/02",
        "JPY/2",
        "BHD/2",
        "USD",
        "usd/2",
        "/2",
        "USD/",
        "USD/2\n",
        "A" * 18 + "/2",
        "BTC/100",
    ],
)
def test_asset_is_wrong(asset: str) -> None:
    assert asset_fault(asset) is not None


@pytest.mark.parametrize(
    ("amount", "right"), [(0, False), (1, True), (AMOUNT_MAX, True), (AMOUNT_MAX + 1, False)]
)
def test_range_of_amounts(amount: int, right: bool) -> None:
    assert in_range(amount) is right


@pytest.mark.parametrize(
    ("amount", "asset", "text"),
    [
        (125050, "USD/2", "1,250.50 USD"),
        (-5, "USD/2", "-0.05 USD"),
        (1500, "JPY/0", "1,500 JPY"),
        (1, "BTC/8", "0.00000001 BTC"),
    ],
)
def test_amount_for_a_person(amount: int, asset: str, text: str) -> None:
    assert format_amount(amount, asset) == text


def test_ids_are_written_in_lower_case() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", derived_id(2**48 - 1, "x"))
