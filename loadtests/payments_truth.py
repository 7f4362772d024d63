"""An independent count: what was asked for, the books in SQL and the provider's book, without the code of workers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from loadtests.payments_load import ASSET, Asked, expected_balances
from loadtests.payments_stage import Stage
from streams.embedded.programs import DEVELOPMENT_TENANT as TENANT
from streams.verifying import verify_books

ENDS = frozenset({"settled", "declined", "released", "expired", "refunded"})
SHOWN_MAX = 5

_PAYMENTS = """
select p.event_id::text as id, p.state, h.amount, h.captured, h.released, h.amount_left as left
from payments p left join holds h using (event_id, tenant_id)
"""
_BALANCES = """
select a.code, sum(e.amount)::bigint as total
from entries e join balances b using (tenant_id, balance_id) join accounts a using (tenant_id, account_id)
group by 1
"""


@dataclass(slots=True)
class Findings:
    """What the count found: by kind of fault, how often, and the first of them."""

    states: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    """Lines of the provider's book, by kind and state."""
    faults: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)
    contradictions: int = 0
    violated: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.faults or self.violated)

    def fault(self, kind: str, what: object) -> None:
        """Note one more fault."""
        self.faults[kind] += 1
        if self.faults[kind] <= SHOWN_MAX:
            self.shown.append(f"{kind}: {what}")

    def told(self) -> dict[str, Any]:
        """Give all of it for JSON."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return {"ok": self.ok, **told}


async def judge(stage: Stage, asked: Mapping[str, Asked], customers: int) -> Findings:
    """Count everything anew."""
    findings = Findings()
    rows = {row["id"]: row for row in await stage.sql(_PAYMENTS)}
    _judge_holds(findings, asked, rows)
    _judge_book(findings, asked, rows, await stage.book_lines())
    settled = [
        each for payment, each in asked.items() if payment in rows and rows[payment]["state"] == "settled"
    ]
    await _judge_balances(findings, stage, expected_balances(settled, customers))
    lines = "select count(*) from payment_steps where verdict = 'contradiction'"
    findings.contradictions = await stage.value(lines)
    verdict, _ = await verify_books(stage.settings)
    findings.violated = [check.name for check in verdict.checks if not check.ok]
    return findings


def _judge_holds(findings: Findings, asked: Mapping[str, Asked], rows: Mapping[str, Any]) -> None:
    """Every payment is at an end, and its hold was captured whole, or released whole."""
    for payment in rows.keys() - asked.keys():
        findings.fault("a payment nobody asked for", payment)
    for payment, each in asked.items():
        row = rows.get(payment)
        state = "missing" if row is None else row["state"]
        findings.states[state] += 1
        if row is None or state not in ENDS:
            findings.fault("not at an end", f"{payment} {state}")
            continue
        wanted = (each.amount, 0, 0) if state == "settled" else (0, each.amount, 0)
        if (row["captured"], row["released"], row["left"]) != wanted:
            findings.fault("hold", f"{payment} {dict(row)}")


def _judge_book(
    findings: Findings,
    asked: Mapping[str, Asked],
    rows: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
) -> None:
    """The provider moved money for each payment as often as its state says, and never for another."""
    moved: Counter[tuple[str, str]] = Counter()
    for line in lines:
        findings.moved[f"{line['kind']} {line['state']}"] += 1
        each = asked.get(line["payment"])
        if each is None or (line["tenant"], line["amount"], line["asset"]) != (TENANT, each.amount, ASSET):
            findings.fault("a line of the provider's book that is not ours", line)
        if line["state"] == "accepted":
            moved[line["payment"], line["kind"]] += 1
    for payment in asked.keys() & rows.keys():
        state = rows[payment]["state"]
        charges, refunds = moved[payment, "charge"], moved[payment, "refund"]
        if charges - refunds != (state == "settled") or max(charges, refunds) > 1:
            findings.fault("the provider's book", f"{payment} {state}: {charges} charges, {refunds} refunds")


async def _judge_balances(findings: Findings, stage: Stage, wanted: Counter[str]) -> None:
    """Each account has what the settled payments come to, summed over its entries; and nothing is held."""
    found = Counter({row["code"]: row["total"] for row in await stage.sql(_BALANCES)})
    for account in wanted.keys() | found.keys():
        if wanted[account] != found[account]:
            findings.fault("balance", f"{account} has {found[account]}, and should have {wanted[account]}")
    held = await stage.value("select coalesce(sum(held), 0)::bigint from balances")
    if held:
        findings.fault("held", held)
