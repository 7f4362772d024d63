"""The demonstration's report: a table that a person enjoys reading, or JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.domain.money import format_amount
from streams.demo.paying import PaymentsReport
from streams.demo.readings import CONSISTENCIES, Reading
from streams.demo.run import Report
from streams.verdicts import show_verdict

_ENDS = {
    "settled": "charged, and captured with the fee",
    "released": "declined: nothing is held",
    "refunded": "charged, could not be captured, and given back",
    "declined": "the books refused the hold",
    "expired": "past its deadline: nothing is held",
}
_WAYS = {
    "accept": "done and told, at once or slowly",
    "decline": "told that it will not be done",
    "refuse": "told that it will not be done now",
    "pend": "done, and told as pending for a while",
    "hang": "no answer",
    "hang booked": "no answer, and the money has moved",
    "error": "502, and nothing has moved",
    "error booked": "500, and the money has moved",
    "reset booked": "the connection reset, and the money has moved",
    "throttle": "429",
    "unavailable": "503",
    "malformed booked": "an answer that is nearly right, and the money has moved",
}
NOTHING_COMPARED = (
    "No account has a balance that the bank recorded exactly: nothing was compared with the bank."
)


def as_dict(report: Report) -> dict[str, Any]:
    """Give the shape that `ledger demo --json` prints; amounts in minor units."""
    kinds = _kinds(report)
    return {
        "ok": report.ok,
        "events_in": report.records.total(),
        "sent": report.sent,
        "posted": kinds["posted"],
        "rejected": dict(_reasons(report)),
        "duplicates": report.records["duplicate"] + kinds["duplicate"],
        "dead_letters": report.dead_letters,
        "rate_per_s": round(report.rate),
        "seconds": round(report.seconds, 1),
        "posting_seconds": round(report.posting_seconds, 1),
        "worker_killed_at": report.killed_at,
        "worker_restarts": report.restarts,
        "worker_memory_mib": report.memory_mib(),
        "payments": report.payments.as_dict() if report.payments else None,
        "bank": _bank(report),
        "readings": [{**asdict(reading), "agrees": reading.agrees} for reading in report.readings],
        **{"checks": report.verdict.as_dict()["checks"]},
    }


def _bank(report: Report) -> dict[str, Any] | None:
    if report.bank_compared is None:
        return None
    return {
        "accounts_compared": report.bank_compared,
        "differences": report.bank_differences,
        "note": None if report.bank_compared else NOTHING_COMPARED,
    }


def _kinds(report: Report) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for row in report.outcomes:
        kinds[row["kind"]] += row["count"]
    return kinds


def _reasons(report: Report) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for row in report.outcomes:
        if row["kind"] == "rejected":
            reasons[row["reason"]] += row["count"]
    if report.records["reused"]:
        reasons["event_id_reused"] = report.records["reused"]
    return reasons


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print()
    console.print(_flow_table(report))
    if report.payments is not None:
        console.print(_payments_table(report.payments))
        console.print(_provider_table(report.payments))
    for account, lines in report.statements.items():
        console.print(_statement_table(account, lines))
    if report.readings:
        console.print(_readings_table(report.readings))
    show_verdict(report.verdict, console)
    _show_bank(report, console)
    _show_end(report, console)


def _flow_table(report: Report) -> Table:
    kinds = _kinds(report)
    table = Table(title="the stream", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row(
        "records in", f"{report.records.total():,}", "sent, and sent by the ledger for holds and payments"
    )
    table.add_row("posted", f"[green]{kinds['posted']:,}[/]", "once each")
    for reason, count in _reasons(report).most_common():
        table.add_row(f"refused: {reason}", f"[yellow]{count:,}[/]", "")
    repeats = report.records["duplicate"] + kinds["duplicate"]
    table.add_row("duplicates", f"{repeats:,}", "absorbed")
    for reason, count in sorted(report.dead_letters.items()):
        table.add_row(f"dead letter: {reason}", f"[red]{count:,}[/]", "kept byte for byte")
    table.add_section()
    table.add_row("rate", f"[bold]{report.rate:,.0f}/s[/]", "records handled while a worker was at work")
    memory = report.memory_mib()
    table.add_row(
        "worker memory",
        f"{memory['last_quarter']:,.0f} MiB",
        f"in the last quarter of posting; {memory['first_quarter']:,.0f} in the first, "
        f"{memory['max']:,.0f} at most",
    )
    if report.killed_at is not None:
        table.add_row(
            "kill -9", f"{report.killed_at:,}", f"records were handled then; {report.restarts} started again"
        )
    return table


def _payments_table(payments: PaymentsReport) -> Table:
    table = Table(title="payments by a provider", title_justify="left", show_header=False)
    table.add_column(justify="left", min_width=22)
    table.add_column(justify="right")
    table.add_column(style="dim")
    for state, count in payments.states.items():
        table.add_row(state, f"{count:,}", _ENDS.get(state, "not at an end"))
    table.add_section()
    table.add_row(
        "webhooks", f"{sum(payments.webhooks.values()):,}", "before an answer, after it, or several times"
    )
    if payments.killed_at is not None:
        told = f"payments were at an end when their worker was killed; {payments.restarts} started again"
        table.add_row("kill -9", f"{payments.killed_at:,}", told)
    return table


def _provider_table(payments: PaymentsReport) -> Table:
    table = Table(title="what their provider did", title_justify="left")
    table.add_column("to a call")
    kinds = ("charge", "refund", "status")
    for kind in kinds:
        table.add_column(kind, justify="right")
    table.add_column("which is", style="dim")
    ways = dict.fromkeys(call.partition(" ")[2] for call in payments.calls)
    for way in ways:
        counts = (payments.calls.get(f"{kind} {way}", 0) for kind in kinds)
        table.add_row(way, *(f"{count:,}" if count else "" for count in counts), _WAYS.get(way, ""))
    return table


def _statement_table(account: str, lines: list[dict[str, Any]]) -> Table:
    title = Text(f"statement of {account}, newest first", style="italic")
    table = Table(title=title, title_justify="left")
    for heading in ("entry", "what", "reference"):
        table.add_column(heading)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("balance", justify="right", no_wrap=True)
    for line in lines:
        colour = "red" if line["amount"] < 0 else "green"
        table.add_row(
            str(line["version"]),
            line["type"].rpartition(".")[0],
            Text(line["reference"] or ""),
            f"[{colour}]{format_amount(line['amount'], line['asset'])}[/]",
            format_amount(line["balance"], line["asset"]),
        )
    return table


def _readings_table(readings: Sequence[Reading]) -> Table:
    table = Table(title="balances over HTTP", title_justify="left")
    table.add_column("account", min_width=16)
    for consistency in CONSISTENCIES:
        table.add_column(consistency, justify="right", no_wrap=True)
    for reading in readings:
        colour = "green" if reading.agrees else "red"
        cells = (
            f"[{colour}]{_without_code(reading.balances[each], reading.asset)}[/]\n[dim]{reading.sources[each]}[/]"
            for each in CONSISTENCIES
        )
        account = Text.assemble(reading.account, "\n", (reading.asset.partition("/")[0], "dim"))
        table.add_row(account, *cells)
    return table


def _without_code(amount: int, asset: str) -> str:
    return format_amount(amount, asset).partition(" ")[0]


def _show_bank(report: Report, console: Console) -> None:
    if report.bank_compared is None:
        return
    if not report.bank_compared:
        console.print(f"[yellow]{NOTHING_COMPARED}[/]")
        return
    wrong = len(report.bank_differences)
    console.print(
        f"{report.bank_compared - wrong} of {report.bank_compared} end balances that the bank recorded exactly "
        f"are the ledger's, to the cent."
    )
    for difference in report.bank_differences[:10]:
        console.print(
            f"[red]{difference['account']}: bank {difference['bank']}, here {difference['ledger']}[/]"
        )


def _show_end(report: Report, console: Console) -> None:
    verdict = (
        "[bold green]nothing lost, nothing doubled[/]" if report.ok else "[bold red]something is wrong[/]"
    )
    if report.kill_fault is not None:
        console.print(f"[red]{report.kill_fault}[/]")
    console.print(f"{verdict} · {report.records.total():,} records in {report.seconds:.0f} s altogether")
