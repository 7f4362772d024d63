"""Compose a verification: PostgreSQL audited, Kafka read again, providers' books, chain and windows compared."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.audit import PostgresAuditor
from ledger.adapters.postgres.book_audit import PostgresBookAuditor
from ledger.adapters.postgres.chain import PostgresChains
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.leg_audit import audit_legs
from ledger.adapters.postgres.verifications import PostgresVerifications
from ledger.adapters.report_directory import reports_of
from ledger.application.provider_books import ProviderBook, with_books
from ledger.application.reports import VERIFICATION, Verification, encode_verification
from ledger.application.verify_books import Progress, RecordKind, VerifyBooks
from ledger.application.verify_chain import VerifyChain
from ledger.config import Settings
from ledger.domain.audit import Verdict
from streams.embedded.addresses import find_addresses, find_postgres
from streams.provider_books import stack_books
from streams.verifying_windows import verify_windows


async def keep_verdict(settings: Settings, verification: Verification) -> None:
    """Keep a verdict where the console finds it: in the directory of reports, if there is one, and in the database.

    The file does not wait for a database that takes nothing, nor the database for a full disk. Raises
    TransientFaultError, OSError and asyncpg.PostgresError.
    """
    try:
        await asyncio.to_thread(reports_of(settings).write, VERIFICATION, encode_verification(verification))
    finally:
        await _keep_in_books(settings, verification)


async def _keep_in_books(settings: Settings, verification: Verification) -> None:
    pool = await open_pool(find_postgres(settings), settings, size=1, name="ledger-verify")
    try:
        await PostgresVerifications(pool).keep(verification)
    finally:
        await pool.close()


async def verify_books(
    settings: Settings, progress: Progress | None = None, books: Sequence[ProviderBook] = ()
) -> tuple[Verdict, Counter[RecordKind]]:
    """Verify what is set or what `ledger up` started, over one snapshot; also tells what the records were.

    Payments are compared with the books of tenants that they pay, of providers that are given, and of the stack's own.
    """
    addresses = find_addresses(settings)
    pool = await open_pool(addresses.postgres_dsn, settings, size=1, name="ledger-verify")
    try:
        async with (
            KafkaStream.open(addresses.kafka, settings.payments_topic) as stream,
            PostgresAuditor.open(pool) as auditor,
        ):
            verification = VerifyBooks(auditor, stream, progress, bytes_max=settings.record_bytes_max)
            verdict = await verification()
        all_books = [*books, *await stack_books(settings, pool)]
        compared = [await PostgresBookAuditor(pool).compare(each) for each in all_books]
        verdict = with_books(verdict, [await audit_legs(pool), *compared])
        async with PostgresChains(pool).snapshot() as chains:
            chain = await VerifyChain(chains, progress)()
        windows = await verify_windows(settings, addresses.kafka, pool, progress)
        return Verdict([*verdict.checks, chain, windows]), verification.tally
    finally:
        await pool.close()
