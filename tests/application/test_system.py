"""Fresh event ids follow the clock, however many are made."""

from time import time

from ledger.adapters.system import new_event_id
from ledger.domain.ids import time_ms_of


def test_many_ids_do_not_run_ahead_of_the_clock() -> None:
    ids = [new_event_id() for _ in range(20_000)]
    assert len(set(ids)) == len(ids)
    assert max(map(time_ms_of, ids)) <= time() * 1000
