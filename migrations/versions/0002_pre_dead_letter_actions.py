"""What operators did about dead letters: requeued, or dropped and why."""

from migrations.statements import run_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0002_dead_letter_actions.sql")
