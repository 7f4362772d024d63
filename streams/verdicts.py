"""A verdict as a table for people."""

from rich.console import Console
from rich.table import Table

from ledger.domain.audit import Verdict
from streams.doctor.finding import counted

_MEANING = {
    "zero_sum": "entries of each transaction, and each tenant, sum to zero",
    "one_outcome": "each event id has one outcome, and at most one transaction",
    "no_loss": "each record of the topic is an outcome or a dead letter, and no more",
    "balances": "each balance is the sum of its entries, and within its overdraft",
    "versions": "versions have no gaps, running totals and times fit",
    "holds": "each hold is captured + released + left, and held agrees",
    "sagas": "each payment agrees with hold, saga, timeline and provider's book",
    "chain": "each transaction is what the audit chain vouches for, in its place",
    "checkpoints": "the chain is what signed checkpoints say of it",
    "windows": "each window of the stream is that of its entries",
}


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Print the checks as a table, and what violates them."""
    table = Table(title="the books", title_justify="left")
    for heading in ("check", "verdict", "looked at", "meaning"):
        table.add_column(heading, justify="right" if heading == "looked at" else "left")
    for check in verdict.checks:
        state = "[green]holds[/]" if check.ok else f"[red]{counted(len(check.violations), 'violation')}[/]"
        table.add_row(check.name, state, f"{check.checked:,}", _MEANING.get(check.name, ""))
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
