"""Compose what is asked of the audit chain: a checkpoint of it, or a verdict."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ledger.adapters.postgres.chain import PostgresChains, PostgresChainSnapshot
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import SystemClock
from ledger.application.archive_ports import Objects
from ledger.application.export_chain import ExportChain, IsSigned, Sign
from ledger.application.verify_books import Progress
from ledger.application.verify_chain import VerifyChain
from ledger.application.verify_checkpoints import VerifyCheckpoints
from ledger.config import Settings
from ledger.contract.checkpoints import Checkpoint
from ledger.domain.audit import Verdict
from streams.embedded.addresses import find_postgres


class Exported(NamedTuple):
    """Checkpoints to compare with, and whose signatures are trusted."""

    objects: Objects
    is_signed: IsSigned


@asynccontextmanager
async def _snapshot(settings: Settings) -> AsyncIterator[PostgresChainSnapshot]:
    pool = await open_pool(find_postgres(settings), settings, size=1, name="ledger-chain-check")
    try:
        async with PostgresChains(pool).snapshot() as chain:
            yield chain
    finally:
        await pool.close()


async def export_chain(
    settings: Settings, objects: Objects, sign: Sign, is_signed: IsSigned
) -> Checkpoint | None:
    """Write a checkpoint; None where there is nothing new. Raises as ExportChain does."""
    async with _snapshot(settings) as chain:
        return await ExportChain(chain, objects, sign, is_signed)(SystemClock().now())


async def verify_chain(
    settings: Settings, exported: Exported | None, progress: Progress | None = None
) -> tuple[Verdict, Checkpoint | None]:
    """Walk the chains, and compare them with checkpoints; also gives the newest that is trusted."""
    async with _snapshot(settings) as chain:
        checks = [await VerifyChain(chain, progress)()]
        if exported is None:
            return Verdict(checks), None
        verification = VerifyCheckpoints(chain, exported.objects, exported.is_signed)
        checks.append(await verification())
        return Verdict(checks), verification.newest
