"""The verdict of the last verification."""

from migrations.statements import run_file

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0011_verifications.sql")
