"""Of an event whose transaction tells its time, the time is not kept twice."""

from migrations.statements import run_file

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0013_times_of_events.sql")
