"""What docs/payments.md takes from the code: `python -m tests.payment_page` writes it anew."""

import inspect
import re
from pathlib import Path

from ledger.domain.payments import rules, table
from ledger.domain.payments.moves import MOVES
from ledger.domain.payments.rules import PaymentRules
from ledger.domain.payments.saga import State, start
from tests.builders import NOW

PAGE = Path(__file__).parents[1] / "docs" / "payments.md"


def diagram() -> str:
    """Draw the moves."""
    first = start("p", tenant="t", now=NOW, deadline=None, rules=PaymentRules()).state
    arrows = [f"    {before} --> {after}: {why}" for (before, after), why in MOVES.items()]
    ends = [f"    {state} --> [*]" for state in State if state.is_end]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, *ends, "```"])


def verdicts() -> str:
    """Show the table as it stands in the code."""
    found = re.findall(r'^_\w+ = """\n(.*?)"""', inspect.getsource(table), re.DOTALL | re.MULTILINE)
    return "```text\n" + "\n".join(found) + "```"


def limits() -> str:
    """List the limits with their defaults; the sentence after each stands behind it in the code."""
    source = inspect.getsource(rules)
    rows = []
    for name in PaymentRules.__struct_fields__:
        told = re.search(rf'^    {name}: .*\n    """(.*?)"""', source, re.MULTILINE)
        rows.append(f"| `{name}` | {getattr(PaymentRules(), name):g} | {told[1] if told else ''} |")
    return "\n".join(["| limit | default | |", "|---|---|---|", *rows])


PARTS = {"diagram": diagram, "verdicts": verdicts, "limits": limits}


def filled(page: str) -> str:
    """Put the parts where the page marks them."""
    for name, part in PARTS.items():
        before, marked, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        page = f"{before}{marked}{part()}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
