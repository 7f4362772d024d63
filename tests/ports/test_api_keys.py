"""Keys of the API, in memory and in PostgreSQL: made once, found by their id, revoked for good."""

import itertools
import secrets
from datetime import timedelta
from typing import Any

import pytest

from ledger.adapters.memory.api_keys import MemoryKeys
from ledger.adapters.postgres import api_keys
from ledger.adapters.postgres.api_keys import PostgresKeyReader, PostgresKeyStore
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.application.api_keys import (
    ApiKeys,
    KeyStore,
    KeyTakenError,
    KeyText,
    KeyWish,
    NoKeyError,
    hmac_of,
    new_key,
    parse_key,
    scopes_of,
)
from ledger.application.key_chain import KeyReader
from tests.builders import HandClock

SECRET = "a secret of the tests"
AHEAD = "099999999999."
"""How the mark of a session begins that goes on for long."""

_numbers = itertools.count(1)


class KeyBench:
    def __init__(self, store: KeyStore, reader: KeyReader) -> None:
        self.store, self.reader = store, reader
        self.clock = HandClock()
        self.keys = ApiKeys(store, self.clock, secrets.token_bytes, SECRET)
        self.tenant = f"keys-{next(_numbers)}"
        self.wish = KeyWish(self.tenant, "till", scopes_of(["write"]), self.clock.now() + timedelta(days=1))


@pytest.fixture(params=["memory", "postgres"])
def bench(request: pytest.FixtureRequest, pool: Pool, tenant_pool: TenantPool) -> KeyBench:
    if request.param == "postgres":
        return KeyBench(PostgresKeyStore(pool, auto_open=True), PostgresKeyReader(tenant_pool))
    keys = MemoryKeys(lambda tenant: int(tenant.removeprefix("keys-")), HandClock())
    return KeyBench(keys, keys)


async def test_a_key_is_kept_as_it_was_wished(bench: KeyBench) -> None:
    text, kept = await bench.keys.create(bench.wish, "ann")
    assert (kept.tenant, kept.name, kept.scopes) == (bench.tenant, "till", frozenset(("read", "write")))
    assert (kept.created_at, kept.created_by) == (bench.clock.now(), "ann")
    assert (kept.expires_at, kept.revoked_at, kept.last_used_at) == (bench.wish.expires_at, None, None)
    assert kept.secret_hmac == hmac_of(text.secret, SECRET)


async def test_a_key_that_is_presented_is_found_with_its_tenant(bench: KeyBench) -> None:
    text, kept = await bench.keys.create(bench.wish, "ann")
    assert await bench.reader.presented(text.key_id) == kept
    assert await bench.reader.presented("A" * 16) is None


async def test_the_last_use_is_written_down(bench: KeyBench) -> None:
    text, _ = await bench.keys.create(bench.wish, "ann")
    await bench.reader.used(text.key_id)
    found = await bench.reader.presented(text.key_id)
    assert found is not None
    assert found.last_used_at is not None


async def test_sessions_that_were_signed_out_of_are_kept_with_their_key(bench: KeyBench) -> None:
    text, _ = await bench.keys.create(bench.wish, "ann")
    for mark in (AHEAD + "a", AHEAD + "b", AHEAD + "a"):
        await bench.reader.end_session(text.key_id, mark)
    found = await bench.reader.presented(text.key_id)
    assert found is not None
    assert found.ended_sessions == {AHEAD + "a", AHEAD + "b"}


async def test_marks_of_sessions_are_dropped_when_those_have_ended_by_themselves(
    pool: Pool, tenant_pool: TenantPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "SESSIONS_MAX", 2)
    bench = KeyBench(PostgresKeyStore(pool, auto_open=True), PostgresKeyReader(tenant_pool))
    text, _ = await bench.keys.create(bench.wish, "ann")
    for mark in ("000000000001.a", AHEAD + "b", AHEAD + "c", "000000000002.d"):
        await bench.reader.end_session(text.key_id, mark)
    found = await bench.reader.presented(text.key_id)
    assert found is not None
    assert found.ended_sessions == {AHEAD + "b", AHEAD + "c"}


async def test_a_key_is_revoked_once_and_stays_so(bench: KeyBench) -> None:
    text, _ = await bench.keys.create(bench.wish, "ann")
    first = await bench.keys.revoke(text.key_id)
    bench.clock.move(60)
    assert (await bench.keys.revoke(text.key_id)).revoked_at == first.revoked_at is not None
    found = await bench.reader.presented(text.key_id)
    assert found is not None
    assert not found.is_good_at(bench.clock.now())


async def test_a_key_that_is_not_there_cannot_be_revoked(bench: KeyBench) -> None:
    with pytest.raises(NoKeyError):
        await bench.keys.revoke("B" * 16)


async def test_keys_are_listed_by_tenant_in_their_order(bench: KeyBench) -> None:
    made = []
    for _ in range(3):
        made.append((await bench.keys.create(bench.wish, "ann"))[1])
        bench.clock.move(1)
    assert list(await bench.keys.find(bench.tenant)) == made
    assert await bench.keys.find("nobody") == []


async def test_a_given_key_is_made_once(bench: KeyBench) -> None:
    text = new_key(secrets.token_bytes)
    first = await bench.keys.ensure(text, bench.wish, "up")
    bench.clock.move(60)
    assert await bench.keys.ensure(text, bench.wish, "up") == first


async def test_a_given_key_that_was_revoked_stays_so(bench: KeyBench) -> None:
    text = new_key(secrets.token_bytes)
    await bench.keys.ensure(text, bench.wish, "up")
    await bench.keys.revoke(text.key_id)
    assert (await bench.keys.ensure(text, bench.wish, "up")).revoked_at is not None


async def test_an_id_is_not_given_to_another_key(bench: KeyBench) -> None:
    text = new_key(secrets.token_bytes)
    await bench.keys.ensure(text, bench.wish, "up")
    other = KeyText(text.key_id, new_key(secrets.token_bytes).secret)
    with pytest.raises(KeyTakenError):
        await bench.keys.ensure(other, bench.wish, "up")


async def test_a_connection_that_presented_a_key_shows_none_afterwards(
    pool: Pool, tenant_pool: TenantPool
) -> None:
    bench = KeyBench(PostgresKeyStore(pool, auto_open=True), PostgresKeyReader(tenant_pool))
    text, _ = await bench.keys.create(bench.wish, "ann")
    assert await bench.reader.presented(text.key_id) is not None
    async with tenant_pool.connection() as connection:
        shown: Any = await connection.fetchval("select count(*) from api_keys where key_id = $1", text.key_id)
    assert shown == 0


def test_keys_have_their_form_and_differ() -> None:
    texts = [str(new_key(secrets.token_bytes)) for _ in range(200)]
    assert len(set(texts)) == 200
    assert all(str(parse_key(text)) == text and len(text) == 63 for text in texts)


@pytest.mark.parametrize(
    "text", ["", "lk_", "lk_a_b", "xx_" + "A" * 16 + "_" + "B" * 43, "lk_" + "A" * 16 + "_" + "B" * 43 + "\n"]
)
def test_what_has_not_the_form_is_no_key(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize(
    ("asked", "given"),
    [(["read"], {"read"}), (["write"], {"read", "write"}), (["admin", "read"], {"read", "write", "admin"})],
)
def test_a_scope_includes_those_before_it(asked: Any, given: set[str]) -> None:
    assert scopes_of(asked) == given
