"""A verdict as a table for people."""

from rich.console import Console
from rich.table import Table

from ledger.domain.audit import MEANINGS, Verdict
from streams.doctor.finding import counted


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Print the checks as a table, and what violates them."""
    table = Table(title="the books", title_justify="left")
    for heading in ("check", "verdict", "looked at", "meaning"):
        table.add_column(heading, justify="right" if heading == "looked at" else "left")
    for check in verdict.checks:
        state = "[green]holds[/]" if check.ok else f"[red]{counted(len(check.violations), 'violation')}[/]"
        table.add_row(check.name, state, f"{check.checked:,}", MEANINGS.get(check.name, ""))
    console.print(table)
    for check in verdict.checks:
        for violation in check.violations:
            facts = ", ".join(f"{name} {value}" for name, value in violation.items() if name != "what")
            console.print(
                f"{check.name}: {violation.get('what', '')}" + (f" ({facts})" if facts else ""),
                markup=False,
                emoji=False,
                soft_wrap=True,
            )
