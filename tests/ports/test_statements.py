"""Columns as statements take them."""

import pytest

from ledger.adapters.postgres.statements import column, numbers
from ledger.adapters.postgres.types import Pool


@pytest.mark.parametrize("values", [[], [0], [-(2**63), None, 2**63 - 1], list(range(1000))])
async def test_integers_are_read_as_they_were_written(pool: Pool, values: list[int | None]) -> None:
    assert await pool.fetchval("select $1::text::bigint[]", numbers(values)) == values


async def test_what_no_integer_of_the_server_holds_is_refused(pool: Pool) -> None:
    with pytest.raises(Exception, match="out of range"):
        await pool.fetchval("select $1::text::bigint[]", numbers([2**63]))


def test_a_column_of_one_value_is_one_value() -> None:
    assert (column([7, 7, 7]), column([7, 8]), column([])) == ([7], [7, 8], [])
