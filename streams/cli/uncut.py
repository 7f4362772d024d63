"""Tables with what is there to be copied: where nobody looks on, a line is as long as it is."""

from rich.console import Console
from rich.table import Table

UNCUT_COLUMNS = 1000


def print_uncut(table: Table) -> None:
    """Print a table as wide as the terminal, or, into a pipe or a file, without cutting a line."""
    console = Console()
    (console if console.is_terminal else Console(width=UNCUT_COLUMNS)).print(table, markup=False)
