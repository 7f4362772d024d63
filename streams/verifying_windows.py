"""Compose a verification of the windows: the changelog read again, against the books."""

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.types import Pool
from ledger.adapters.postgres.window_audit import snapshots
from ledger.adapters.workers.routes import partition_of
from ledger.application.verify_books import Progress
from ledger.application.verify_windows import STALLED_S, Flow, VerifyWindows
from ledger.config import Settings
from ledger.domain.audit import Check
from streams.rolling import retention_of


async def verify_windows(
    settings: Settings,
    kafka: KafkaAccess | str,
    pool: Pool,
    progress: Progress | None = None,
    *,
    stalled_s: float = STALLED_S,
) -> Check:
    """Verify the windows of the group that is set; raises KafkaError, TransientFaultError."""
    async with (
        KafkaStream.open(kafka, settings.payments_topic) as payments,
        KafkaStream.open(kafka, settings.entries_topic) as entries,
        KafkaStream.open(kafka, settings.windows_topic) as windows,
        KafkaGroup.open(kafka, settings.posting_group) as posting,
        KafkaGroup.open(kafka, settings.windows_group) as rolling,
    ):
        flow = Flow(payments, entries, windows, posting, rolling)
        verification = VerifyWindows(
            snapshots(pool), flow, retention_of(settings), partition_of, progress, stalled_s=stalled_s
        )
        return await verification()
