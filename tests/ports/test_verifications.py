"""The verdict of the last verification in PostgreSQL."""

from datetime import timedelta

import msgspec

from ledger.adapters.postgres.types import Pool
from ledger.adapters.postgres.verifications import PostgresVerifications
from ledger.application.reports import verification_of
from ledger.domain.audit import Check, Verdict
from tests.builders import NOW

VERDICT = verification_of(
    Verdict([Check("balances", 9, [{"what": "differs", "account": "\u0000é"}])]), NOW, 1.5, "payments"
)


async def test_the_last_verdict_is_found_by_everybody_and_an_older_one_does_not_replace_it(
    pool: Pool,
) -> None:
    kept = PostgresVerifications(pool)
    assert await kept.last() is None
    await kept.keep(VERDICT)
    later = msgspec.structs.replace(VERDICT, at=NOW + timedelta(hours=1), checks=[])
    await kept.keep(later)
    await kept.keep(VERDICT)
    assert await PostgresVerifications(pool).last() == later


async def test_a_verdict_is_kept_as_it_was(pool: Pool) -> None:
    kept = PostgresVerifications(pool)
    newest = msgspec.structs.replace(VERDICT, at=NOW + timedelta(days=1))
    await kept.keep(newest)
    assert await kept.last() == newest
