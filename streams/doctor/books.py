"""PostgreSQL, looked at: reached, durable, its clock, and the books in it."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from ledger.adapters.postgres.connection import API_ROLE, WORKER_ROLE
from ledger.adapters.postgres.statements import sql
from ledger.config import Settings
from migrations.run import head_revision, known_revisions
from streams.doctor.books_payments import look_at_payments
from streams.doctor.finding import Finding, Level, fine, judged
from streams.doctor.payments import PaymentFacts

VERSION_MIN = 15
CLOCK_DIFFERENCE_S_MAX = 1.0
MIGRATE = "`ledger migrate`"


class BooksLook:
    """A connection to PostgreSQL that only looks."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, settings: Settings) -> AsyncIterator["BooksLook"]:
        """Connect; raises OSError, PostgresError, or asyncpg's InterfaceError for an address that is none."""
        connection = await asyncpg.connect(
            dsn,
            timeout=settings.postgres_connect_timeout_s,
            command_timeout=settings.postgres_statement_timeout_s,
            server_settings={
                "application_name": "ledger-doctor",
                "search_path": settings.postgres_schema,
                "default_transaction_read_only": "on",
            },
        )
        try:
            yield cls(connection, settings)
        finally:
            await connection.close(timeout=settings.postgres_connect_timeout_s)

    async def findings(self) -> AsyncIterator[Finding]:
        """Look at everything that needs nothing but PostgreSQL."""
        yield await self._server()
        yield await self._durability()
        yield await self._clock()
        revision = await self._revision()
        yield self._version(revision)
        if revision is not None:
            yield await self._roles(WORKER_ROLE, API_ROLE)
            yield await self._partitions()
        if revision == head_revision():
            yield await self._letters()

    async def payments(self) -> PaymentFacts | None:
        """Look at payments and providers, of all tenants; None unless the books are as this version has them."""
        if await self._revision() != head_revision():
            return None
        async with self._connection.transaction():
            # A role that sees every tenant: row-level security hides them from the owner of the tables.
            await self._connection.execute(f"set local role {WORKER_ROLE}")
            return await look_at_payments(self._connection, self._settings)

    async def chain(self) -> tuple[datetime | None] | None:
        """Up to when all that was posted has its link, if that is known; None unless the books are of this version."""
        if await self._revision() != head_revision():
            return None
        return (await self._connection.fetchval(sql("read_chain_progress")),)

    async def positions(self) -> dict[int, int] | None:
        """By partition of the topic of payments, the offset before which all is posted; None without books."""
        if await self._revision() is None:
            return None
        rows = await self._connection.fetch(sql("audit_positions"), self._settings.payments_topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def _server(self) -> Finding:
        version = await self._connection.fetchval("select current_setting('server_version')")
        standby = await self._connection.fetchval("select pg_is_in_recovery()")
        detail = f"version {version}{', a standby' if standby else ''}"
        is_old = self._connection.get_server_version().major < VERSION_MIN
        old = f"Move the books to PostgreSQL {VERSION_MIN} or newer." if is_old else ""
        wrong = old or ("Set LEDGER_POSTGRES_DSN to the primary." if standby else "")
        return judged("postgres", detail, wrong=wrong)

    async def _durability(self) -> Finding:
        names = ("fsync", "full_page_writes", "synchronous_commit")
        values = {name: await self._connection.fetchval("select current_setting($1)", name) for name in names}
        return durability_finding(values)

    async def _clock(self) -> Finding:
        before = datetime.now(UTC)
        theirs = await self._connection.fetchval("select clock_timestamp()")
        return clock_finding(before, theirs, datetime.now(UTC))

    async def _revision(self) -> str | None:
        table = f'"{self._settings.postgres_schema}".alembic_version'
        if await self._connection.fetchval("select to_regclass($1)", table) is None:
            return None
        found: str | None = await self._connection.fetchval(f"select version_num from {table}")  # noqa: S608
        return found

    def _version(self, revision: str | None) -> Finding:
        return version_finding(self._settings.postgres_schema, revision, known_revisions())

    async def _roles(self, *roles: str) -> Finding:
        user = await self._connection.fetchval("select current_user")
        for role in roles:
            try:
                await self._connection.execute(f"set role {role}")
            except asyncpg.PostgresError as error:
                return judged(
                    "role", f"{user} cannot become {role}: {error}", wrong=f"grant {role} to {user}"
                )
            finally:
                await self._connection.execute("reset role")
        return fine("role", f"{user} can become {' and '.join(roles)}")

    async def _partitions(self) -> Finding:
        rows = await self._connection.fetch(sql("event_partitions"))
        return partitions_finding({row["name"] for row in rows}, datetime.now(UTC))

    async def _letters(self) -> Finding:
        row = await self._connection.fetchrow(sql("count_dead_letters"))
        detail = f"{row['open']:,} open of {row['letters']:,}"
        if not row["open"]:
            return fine("dead_letters", detail)
        return Finding("dead_letters", Level.INFORMATION, detail, "`ledger dlq list`")


def durability_finding(values: Mapping[str, str]) -> Finding:
    """Whether what PostgreSQL says is committed outlives a crash of its machine."""
    off = [name for name, value in values.items() if value == "off"]
    detail = ", ".join(f"{name} {value}" for name, value in values.items())
    remedy = f"Turn on {', '.join(off)}: without it a crash loses or corrupts what was committed."
    return judged("durability", detail, wrong=remedy if off else "")


def clock_finding(before: datetime, theirs: datetime, after: datetime) -> Finding:
    """Compare clocks; the time that the question took is no difference."""
    ahead_s = max(0.0, (theirs - after).total_seconds(), (before - theirs).total_seconds())
    detail = f"{ahead_s:.3f} s between this machine and PostgreSQL"
    wrong = "Synchronise the clocks of both machines: ids and holds go by them."
    return judged("clock", detail, wrong=wrong if ahead_s >= CLOCK_DIFFERENCE_S_MAX else "")


def version_finding(schema: str, revision: str | None, known: Collection[str]) -> Finding:
    """Whether the books are as this version of the program wants them."""
    head = head_revision()
    if revision is None:
        return judged("books", f"there are none in schema {schema}", wrong=f"{MIGRATE} makes them.")
    if revision not in known:
        return judged(
            "books",
            f"version {revision}, which this program does not know; it goes up to {head}",
            wrong="Deploy the newer version of this program.",
        )
    older = f"{MIGRATE} brings them to {head}." if revision != head else ""
    return judged("books", f"version {revision} in schema {schema}", wrong=older)


def partitions_finding(names: Collection[str], now: datetime) -> Finding:
    """Whether ids of this month and the next have a partition of their own to go to."""
    this = now.replace(day=1)
    months = (this, (this + timedelta(days=32)).replace(day=1))
    wanted = [f"processed_events_{month:%Y_%m}" for month in months]
    missing = [name for name in wanted if name not in names]
    detail = f"missing: {', '.join(missing)}" if missing else f"{len(names)} months, up to {max(names)}"
    return judged(
        "event_partitions", detail, wrong=f"{MIGRATE} makes them; run it monthly." if missing else ""
    )
