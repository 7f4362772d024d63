"""Run SQL files statement by statement: the driver prepares each one, so it takes one at a time."""

from importlib.resources import files

from alembic import op


def run_file(name: str) -> None:
    """Run `sql/NAME`, whose statements are parted by lines that hold only `--;`."""
    text = (files("migrations") / "sql" / name).read_text()
    for statement in text.split("\n--;\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
