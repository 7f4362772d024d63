"""History replayed on real servers: rebuilt with the same digest, found unchanged, gone on with, differences named."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from ledger.application.compare_books import Comparison, View
from ledger.domain.digest import BooksDigest
from streams.replay.session import Session, compare_schemas, digest_schema
from streams.replay.wish import Report, Wish
from tests.builders import body, encoded
from tests.end_to_end.books import Books
from tests.end_to_end.command import Ledger
from tests.random_events import random_command

EVENTS = 1200
TENANTS = ("acme", "globex")


def history(chance: Random, tenant: str) -> list[bytes]:
    """Random events of every type over few accounts; some ids come twice, with the same content or other."""
    specs: list[tuple[int, str, Any]] = []
    for number in range(EVENTS // len(TENANTS)):
        made = [spec[:2] for spec in specs]
        luck = chance.random()
        if specs and luck < 0.08:
            specs.append(chance.choice(specs))
        elif specs and luck < 0.12:
            specs.append((chance.choice(specs)[0], *random_command(chance, made)))
        else:
            specs.append((number, *random_command(chance, made)))
    return [encoded(body(kind, data, name=name, tenant=tenant)) for name, kind, data in specs]


@dataclass
class Stage:
    """Books with a history that workers have posted."""

    books: Books
    ledger: Ledger

    async def replay(self, **wish: Any) -> Report:
        return await Session(self.books.settings, Wish(by="tests", why="a test", **wish)).run()

    async def digest(self, schema: str | None = None, view: View = View.BALANCES) -> BooksDigest:
        settings = self.books.settings
        return await digest_schema(settings, schema or settings.postgres_schema, view)

    async def compare(self, schema: str, view: View = View.BALANCES) -> Comparison:
        return await compare_schemas(self.books.settings, self.books.settings.postgres_schema, schema, view)


@pytest.fixture(scope="module")
async def stage(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("replay")
    async with Books.open(kafka, postgres_dsn, "replayed", directory) as books:
        histories = [history(Random(number), tenant) for number, tenant in enumerate(TENANTS)]
        events = [each for pair in zip(*histories, strict=True) for each in pair]
        events[300:300] = [b"no event", encoded(body("nothing.known.v1"))]
        async with books.worker(LEDGER_BATCH_RECORDS_MAX="7"), books.worker(LEDGER_BATCH_RECORDS_MAX="5"):
            for begin in range(0, len(events), 200):
                page = events[begin : begin + 200]
                await books.send(
                    page, [f"{Random(n).random()}".encode() for n in range(begin, begin + len(page))]
                )
            await books.until_handled(len(events))
        changes = {name: text for name, text in books.environment.items() if name != "LEDGER_STATE_DIR"}
        yield Stage(books, Ledger(directory, changes))


async def test_the_history_has_everything_in_it(stage: Stage) -> None:
    kinds = {row["kind"] for row in await stage.books.sql("select distinct kind from processed_events")}
    partitions = await stage.books.sql("select count(*) as n from stream_offsets where next_offset > 0")
    assert kinds == {"posted", "rejected", "duplicate"}
    assert partitions[0]["n"] == stage.books.settings.partitions


async def test_a_rebuild_gives_the_same_digest(stage: Stage) -> None:
    report = await stage.replay(target="into", name="rebuilt")
    assert report.proof is not None, report
    assert report.told.different == []
    assert report.differences is None
    assert report.proof.same
    assert await stage.digest("rebuilt", View.ENTRIES) == await stage.digest()
    assert (await stage.compare("rebuilt", View.ENTRIES)).same
