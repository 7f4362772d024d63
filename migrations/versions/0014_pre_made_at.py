"""What tells a balance from another of its number in restored books, without a look at its account."""

from migrations.statements import run_file

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0014_made_at.sql")
