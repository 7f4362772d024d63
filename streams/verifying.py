"""Compose a verification: PostgreSQL audited, Kafka read again, windows compared."""

from collections import Counter

from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.audit import PostgresAuditor
from ledger.adapters.postgres.connection import open_pool
from ledger.application.verify_books import Progress, RecordKind, VerifyBooks
from ledger.config import Settings
from ledger.domain.audit import Verdict
from streams.embedded.addresses import find_addresses
from streams.verifying_windows import verify_windows


async def verify_books(
    settings: Settings, progress: Progress | None = None
) -> tuple[Verdict, Counter[RecordKind]]:
    """Verify what is set or what `ledger up` started, over one snapshot; also tells what the records were."""
    addresses = find_addresses(settings)
    pool = await open_pool(addresses.postgres_dsn, settings, size=1, name="ledger-verify")
    try:
        async with (
            KafkaStream.open(addresses.kafka, settings.payments_topic) as stream,
            PostgresAuditor.open(pool) as auditor,
        ):
            verification = VerifyBooks(auditor, stream, progress, bytes_max=settings.record_bytes_max)
            verdict = await verification()
        windows = await verify_windows(settings, addresses.kafka, pool, progress)
        return Verdict([*verdict.checks, windows]), verification.tally
    finally:
        await pool.close()
