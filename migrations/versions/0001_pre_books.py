"""The books: accounts, balances, transactions, entries, holds, what was processed, and who may do what."""

from migrations.statements import run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("0001_tables.sql", "0001_fences.sql", "0001_partitions.sql", "0001_roles.sql"):
        run_file(name)
