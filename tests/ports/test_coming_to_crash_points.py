"""A worker comes to a crash point once with each record: so a count says with which record it dies."""

from collections import Counter

import pytest

from ledger.adapters.postgres import books
from ledger.application.post_events import Batch, PostEvents
from ledger.domain.books import Rules
from ledger.observability.signals import Signals
from tests.builders import transfer
from tests.ports.conftest import Bench

AT_POINTS = {"claimed": 1, "before_commit": 1, "committed": 1}


async def test_a_record_comes_once_to_each_point_new_or_known(
    postgres: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = Counter[str]()
    monkeypatch.setattr(books, "crash_point", lambda name: came.update([name]))
    record = transfer("external:bank", "ann", 1, name="first", tenant=postgres.tenant)

    for what in ("new", "known"):
        worker = PostEvents(postgres.look.worker(), postgres.clock, Rules(), Signals())
        await worker(Batch([record]))
        assert came == AT_POINTS, what
        came.clear()
