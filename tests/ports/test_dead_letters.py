"""Dead letters, in memory and in PostgreSQL: found, read and acted upon alike."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.adapters.postgres.types import Pool
from ledger.application.dead_letters import (
    Action,
    DeadLetters,
    Deed,
    LetterQuery,
    Place,
    StoredLetter,
    places_of,
)
from ledger.application.faults import TransientFaultError
from ledger.contract.dead_letter import ORIGIN, DeadLetter, DeadLetterReason, Record
from tests.builders import NOW
from tests.ports.conftest import Bench

MALFORMED, TOO_LARGE = DeadLetterReason.MALFORMED_JSON, DeadLetterReason.TOO_LARGE
ACTION = Action(Deed.REQUEUED, "ann", NOW, "why", b"\x00edited")

_END_HOLDER = """
select pg_terminate_backend(pid) from pg_locks
where locktype = 'advisory' and classid = 72619944 and objid::bigint = hashtext($1)::bigint & 4294967295
"""
_numbers = itertools.count()


def letters_of(topic: str) -> list[DeadLetter]:
    """Four letters, the oldest first; the second and the third at the same time."""
    return [
        DeadLetter(Record(topic, *rest), reason, "detail é", NOW + timedelta(minutes=minute))
        for reason, minute, *rest in (
            (MALFORMED, 0, 0, 5, b"k", b"\xff\x00", (("h", b"\xff"), ("h", None)), 17),
            (MALFORMED, 1, 0, 6, None, None, (), None),
            (TOO_LARGE, 1, 1, 2, b"", b"", (("é", b""), ("\udcff\x00", b""), ("\x00", b"")), 0),
            (TOO_LARGE, 2, 1, 3, None, b"x", ((ORIGIN, b"x"), (ORIGIN, f"{topic}/0/5".encode())), 1),
        )
    ]


class Kept:
    """Letters of a topic of their own, kept in one store or the other."""

    def __init__(self, topic: str, letters: DeadLetters) -> None:
        self.topic = topic
        self.letters = letters
        self.places = [StoredLetter(letter).place for letter in letters_of(topic)]

    async def found(self, limit: int = 10, after: int | None = None, **narrowed: Any) -> list[int]:
        """Which of the letters are found, by their numbers."""
        query = LetterQuery(topic=self.topic, **narrowed)
        begin = None if after is None else self.places[after]
        return [self.places.index(each.place) for each in await self.letters.find(query, limit, begin)]


@pytest.fixture
def kept_in_memory() -> Kept:
    topic = f"letters-{next(_numbers)}"
    return Kept(topic, MemoryDeadLetters(letters_of(topic)))


@pytest.fixture
async def kept_in_postgres(pool: Pool, postgres: Bench) -> Kept:
    topic = f"letters-{next(_numbers)}"
    await postgres.post(letters=tuple(letters_of(topic)))
    return Kept(topic, PostgresDeadLetters(pool))


@pytest.fixture(params=["memory", "postgres"])
def kept(request: pytest.FixtureRequest) -> Kept:
    """The letters, in memory and then in PostgreSQL."""
    found: Kept = request.getfixturevalue(f"kept_in_{request.param}")
    return found


@pytest.mark.parametrize(
    ("narrowed", "numbers"),
    [
        ({}, [0, 1, 2, 3]),
        ({"reason": TOO_LARGE}, [2, 3]),
        ({"partition": 0}, [0, 1]),
        ({"since": NOW + timedelta(minutes=1)}, [1, 2, 3]),
        ({"until": NOW + timedelta(minutes=1)}, [0]),
        ({"reason": MALFORMED, "since": NOW + timedelta(minutes=1)}, [1]),
        ({"limit": 2}, [0, 1]),
        ({"after": 1}, [2, 3]),
        ({"after": 1, "limit": 1}, [2]),
        ({"after": 3}, []),
    ],
)
async def test_letters_are_found_oldest_first(
    kept: Kept, narrowed: dict[str, Any], numbers: Sequence[int]
) -> None:
    assert await kept.found(**narrowed) == numbers


async def test_letters_are_read_as_they_came(kept: Kept) -> None:
    asked = [kept.places[3], kept.places[0], Place(kept.topic, 9, 9), kept.places[1], kept.places[2]]
    read = await kept.letters.read(asked)
    assert read == [StoredLetter(letter) for letter in letters_of(kept.topic)]


async def test_list_tells_the_size_of_a_letter(kept: Kept) -> None:
    found = await kept.letters.find(LetterQuery(topic=kept.topic), 10)
    assert [each.bytes for each in found] == [2, None, 0, 1]


async def test_letters_are_told_without_their_bytes(kept: Kept) -> None:
    await kept.letters.record(kept.places[1:2], msgspec.structs.replace(ACTION, edited_value=None))
    asked = [kept.places[3], Place(kept.topic, 9, 9), kept.places[1]]
    told = await kept.letters.summaries(asked)
    everything = await kept.letters.find(LetterQuery(topic=kept.topic, handled_too=True), 10)
    assert told == [everything[1], everything[3]]


async def test_letters_say_which_they_were(kept: Kept) -> None:
    found = await kept.letters.find(LetterQuery(topic=kept.topic), 10)
    assert [each.origin for each in found] == [None, None, None, kept.places[0]]
    assert await kept.letters.came_back_of(kept.places[0], 10) == [found[3]]
    assert await kept.letters.came_back_of(kept.places[1], 10) == []
    assert await kept.letters.came_back_of(kept.places[0], 0) == []


async def test_letter_acted_upon_is_no_longer_open(kept: Kept) -> None:
    await kept.letters.record(kept.places[:2], ACTION)
    assert await kept.found() == [2, 3]
    assert await kept.found(handled_too=True) == [0, 1, 2, 3]


async def test_newest_action_tells_how_a_letter_stands(kept: Kept) -> None:
    dropped = Action(Deed.DROPPED, "bob", NOW, "a test")
    await kept.letters.record(kept.places[:1], dropped)
    await kept.letters.record(kept.places[:1], ACTION)
    [stored] = await kept.letters.read(kept.places[:1])
    assert stored.action == ACTION


async def test_letters_are_in_the_hands_of_one_at_a_time(kept: Kept) -> None:
    deeds: list[str] = []

    async def follow() -> None:
        async with kept.letters.held():
            deeds.append("second")

    async with kept.letters.held():
        second = asyncio.create_task(follow())
        await kept.letters.summaries(kept.places)
        await asyncio.sleep(0.1)
        deeds.append("first")
    await second
    assert deeds == ["first", "second"]


async def test_who_lost_the_letters_hears_of_it(
    kept_in_postgres: Kept, pool: Pool, postgres_dsn: str
) -> None:
    schema = await pool.fetchval("select current_schema()")
    superuser = await asyncpg.connect(postgres_dsn)
    async with kept_in_postgres.letters.held() as ensure_held:
        await ensure_held()
        assert await superuser.fetchval(_END_HOLDER, schema)
        with pytest.raises(TransientFaultError):
            await ensure_held()
    await superuser.close()


async def test_many_letters_are_found_page_by_page(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.application.dead_letters.SUMMARIES_MAX", 2)
    query = LetterQuery(topic=kept.topic)
    assert await places_of(kept.letters, query, 100) == kept.places
    assert await places_of(kept.letters, query, 3) == kept.places[:3]


async def test_worker_role_can_add_actions_and_change_none(pool: Pool) -> None:
    may = "select array_agg(privilege_type::text order by privilege_type) from information_schema.role_table_grants"
    granted = await pool.fetchval(
        f"{may} where table_schema = current_schema() and table_name = 'dead_letter_actions' and grantee = $1",
        "ledger_worker",
    )
    assert granted == ["INSERT", "SELECT"]
