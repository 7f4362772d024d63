"""The servers that the session fixtures start."""

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def test_postgres_is_durable_and_speaks_utf8(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        names = ("fsync", "synchronous_commit", "full_page_writes", "server_encoding", "data_checksums")
        assert [await connection.fetchval(f"SHOW {name}") for name in names] == [
            "on",
            "on",
            "on",
            "UTF8",
            "on",
        ]
    finally:
        await connection.close()


async def test_postgres_wants_the_password(postgres_dsn: str) -> None:
    wrong = postgres_dsn.replace("ledger:", "ledger:x", 1)
    try:
        await asyncpg.connect(wrong)
    except asyncpg.InvalidPasswordError:
        return
    raise AssertionError("a wrong password was taken")


async def test_kafka_makes_topics_only_when_told(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("told", 1, 1)])
        assert "told" in await admin.list_topics()
    finally:
        await admin.close()
