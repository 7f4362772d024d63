"""Records that the books go on without: which, who said so, and why."""

from migrations.statements import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0003_accepted_gaps.sql")
