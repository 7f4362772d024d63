"""What readers need: keys of the API, and balances as they stood at a time."""

from migrations.statements import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_file("0004_api_keys.sql")
    run_file("0004_version_at.sql")
