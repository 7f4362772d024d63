"""Functions and files stay small: what is too long today is listed here, and the list may only shrink."""

from collections.abc import Callable
from statistics import median

import pytest

from tests.architecture.sizes import (
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    Sizes,
    file_sizes,
    function_sizes,
    larger_than,
    report,
)

# Take a name off when it has become shorter, lower a number when it can be lowered; add nothing.
FUNCTIONS_ALLOWED: Sizes = {"tests/digests.py::postgres_digest": 58}
FILES_ALLOWED: Sizes = {}

FUNCTION_MEDIAN_MAX = 8
FILE_MEDIAN_MAX = 100


def grown(long: Sizes, allowed: Sizes) -> Sizes:
    return {name: lines for name, lines in long.items() if lines > allowed.get(name, 0)}


@pytest.mark.parametrize(
    ("long", "allowed"),
    [
        pytest.param(larger_than(function_sizes(), FUNCTION_LINES_MAX), FUNCTIONS_ALLOWED, id="functions"),
        pytest.param(larger_than(file_sizes(), FILE_LINES_MAX), FILES_ALLOWED, id="files"),
    ],
)
class TestRatchet:
    def test_nothing_is_longer_than_it_may_be(self, long: Sizes, allowed: Sizes) -> None:
        assert grown(long, allowed) == {}, "part it, rather than adding it to the list"

    def test_the_list_names_nothing_that_is_short_by_now(self, long: Sizes, allowed: Sizes) -> None:
        assert allowed.keys() - long.keys() == set(), "take it off the list"


def test_medians_stay_low(record_property: Callable[[str, object], None]) -> None:
    record_property("sizes", report())
    assert median(function_sizes().values()) <= FUNCTION_MEDIAN_MAX, report()
    assert median(file_sizes().values()) <= FILE_MEDIAN_MAX, report()
