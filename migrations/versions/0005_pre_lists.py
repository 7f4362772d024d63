"""What lists of readers need: accounts in the order of their codes, reversals of a transaction, captures of a hold."""

from migrations.statements import run_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0005_lists.sql")
