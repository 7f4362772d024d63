"""A rebuild that is refused leaves nothing behind."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger.application.archive_ports import ObjectsAwayError
from streams.replay.faults import NotReplayableError
from streams.replay.session import Session
from streams.replay.wish import Wish
from tests.end_to_end.books import Books, transfer

COUNT = 400


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books of which the workers have posted nothing yet."""
    async with Books.open(kafka, postgres_dsn, "replay_refused", tmp_path_factory.mktemp("refused")) as books:
        await books.send([transfer("external:bank", f"a{number % 7}", 1 + number) for number in range(COUNT)])
        yield books


@pytest.mark.parametrize(
    "refused",
    [
        {"offsets": {99: (0, 5)}},
        {"source": "archive", "archive": "/none"},
        {"outcomes": "archive", "archive": "/none"},
    ],
)
async def test_a_rebuild_that_is_refused_leaves_no_schema(books: Books, refused: dict[str, Any]) -> None:
    wish = Wish(target="into", name="refused", by="tests", **refused)
    with pytest.raises((NotReplayableError, ObjectsAwayError)):
        await Session(books.settings, wish).run()
    assert await books.sql("select 1 from pg_namespace where nspname = 'refused'") == []
