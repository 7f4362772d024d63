"""Fresh event ids follow the clock, however many are made."""

from datetime import timedelta
from time import time

from ledger.adapters.system import new_event_id, new_event_id_at
from ledger.domain.ids import time_ms_of
from ledger.domain.moments import milliseconds
from tests.builders import NOW


def test_many_ids_do_not_run_ahead_of_the_clock() -> None:
    ids = [new_event_id() for _ in range(20_000)]
    assert len(set(ids)) == len(ids)
    assert max(map(time_ms_of, ids)) <= time() * 1000


def test_an_id_has_the_time_of_another_clock_where_that_is_told() -> None:
    later = NOW + timedelta(hours=1)
    ids = {new_event_id_at(later) for _ in range(100)}
    assert len(ids) == 100
    assert {time_ms_of(each) for each in ids} == {milliseconds(later)}
