"""Sessions of the console that were signed out of."""

from migrations.statements import run_file

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0012_ended_sessions.sql")
