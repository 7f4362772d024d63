"""`python -m loadtests.bench`: how fast, at what latency, at what cost, and compared with what.

`run` measures, on servers of its own, which are removed afterwards; `list` names the cases; `report` shows a report
again; `compare` holds two against each other. Exit 1 if books were not as expected, not every target was measured and
holds (with `--targets`), or a case is shown to be slower than `--fail-below`; 2 if used wrongly.
"""

import argparse
import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from ledger.config import Settings
from loadtests.arguments import UsageError, check_folder, count, from_one, positive, settings_of
from loadtests.bench.cases import (
    CASES,
    FULL,
    QUICK,
    MissingKneeError,
    Options,
    Run,
    UnknownCaseError,
    check_order,
    find_cases,
    repeated,
)
from loadtests.bench.compare import compare, unlike
from loadtests.bench.growth import NoRoomError
from loadtests.bench.machine import at_once, this_machine, versions
from loadtests.bench.page import page
from loadtests.bench.report import render, render_comparison
from loadtests.bench.results import Report, UnreadableReportError, encode, load, save, slim
from loadtests.bench.stage import OWN, Wishes, servers, tell
from loadtests.bench.targets import all_hold, judge
from loadtests.interrupting import INTERRUPTED, cancel_on_sigterm

FULL_EVENTS = 300_000
FULL_S = 20.0


def main() -> int:
    """Run one command; gives the exit status."""
    given = _parser().parse_args()
    try:
        status: int = given.command(given)
    except (UsageError, UnknownCaseError, MissingKneeError, UnreadableReportError) as error:
        tell(str(error))
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("interrupted; nothing is left running")
        return INTERRUPTED
    return status


def run(given: argparse.Namespace) -> int:
    """Measure the cases, and report."""
    names = find_cases(given.cases) or list(FULL if given.full else QUICK)
    if not given.rate:
        check_order(names)
    options = _options(given)
    given.out = given.out or kept_in(Settings().reports_dir, datetime.now(UTC))
    if given.out:
        check_folder(given.out)
    report = asyncio.run(_run(given, options, repeated(names, given.repeats, only_main=given.full)))
    sys.stdout.write(encode(report).decode() if given.json else render(report))
    return int(bool(report.faults) or bool(given.targets and not all_hold(report.targets)))


async def _run(given: argparse.Namespace, options: Options, names: list[str]) -> Report:
    cancel_on_sigterm()
    together = await at_once()
    async with servers() as own:
        report = Report(this_machine(), await versions(own), datetime.now(UTC).isoformat(timespec="seconds"))
        report.notes.append(
            f"When the run began, the {report.machine.cores} cores together got {together:.1f} times as much done as "
            "one of them alone: what several processes do at once is held against what one does."
        )
        measuring = Run(own, options, report)
        for number, name in enumerate(names, 1):
            begun = monotonic()
            tell(f"[{number}/{len(names)}] {name}")
            try:
                for measured in await CASES[name](measuring):
                    report.add(measured)
            except NoRoomError as error:
                report.notes.append(f"{name} was left out: {error}")
            tell(f"[{number}/{len(names)}] {name} took {monotonic() - begun:.0f} s")
            report.targets = judge(report)
            if given.out:
                await asyncio.to_thread(_write, report, given.out)
    return report


def kept_in(reports_dir: Path | None, at: datetime) -> Path | None:
    """Give the folder of a run in LEDGER_REPORTS_DIR, where the console lists it; None: that is not set."""
    return None if reports_dir is None else reports_dir / f"bench-{at:%Y%m%dT%H%M%SZ}"


def _write(report: Report, folder: Path) -> None:
    """Write what is there so far: a run that is interrupted is not in vain."""
    save(report, folder / "report.json")
    (folder / "report.html").write_text(page(report), encoding="utf-8")


def _options(given: argparse.Namespace) -> Options:
    wishes = Wishes(
        workers=given.workers,
        partitions=given.partitions,
        windows=int("windows" in given.beside),
        chain=int("chain" in given.beside),
        settings=settings_of(given.settings, OWN),
    )
    options = Options(seed=given.seed, rate=given.rate, wishes=wishes)
    if given.full:
        options = replace(options, events=FULL_EVENTS, seconds=FULL_S)
    asked = {"events": given.events, "seconds": given.seconds, "soak_s": given.soak_seconds}
    return replace(options, **{name: value for name, value in asked.items() if value})


def show(given: argparse.Namespace) -> int:
    """Show a report again, and write its page if wished."""
    report = load(given.report)
    for file in (given.html, given.baseline):
        if file:
            check_folder(file.parent)
    sys.stdout.write(render(report))
    if given.html:
        given.html.write_text(page(report), encoding="utf-8")
    if given.baseline:
        save(slim(report), given.baseline)
    return int(bool(report.faults))


def compare_two(given: argparse.Namespace) -> int:
    """Hold two reports against each other."""
    before, after = load(given.before), load(given.after)
    found = compare(before, after)
    sys.stdout.write(render_comparison(found, list(unlike(before, after)), given.fail_below))
    return int(given.fail_below is not None and any(each.shown_below(given.fail_below) for each in found))


def name_cases(_: argparse.Namespace) -> int:
    """List the cases."""
    for name in CASES:
        print(
            f"{name:36} {'make bench' if name in QUICK else 'make bench-full' if name in FULL else ''}".rstrip()
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="run | list | report | compare")
    _add_run(commands.add_parser("run", help="measure cases; without names, those of `make bench`"))
    listing = commands.add_parser("list", help="name the cases")
    listing.set_defaults(command=name_cases)
    showing = commands.add_parser("report", help="show a report again")
    showing.add_argument("report", type=Path, help="report.json, or the folder that holds it")
    showing.add_argument("--html", type=Path, help="write its page to this file")
    showing.add_argument("--baseline", type=Path, help="write what a comparison needs of it to this file")
    showing.set_defaults(command=show)
    comparing = commands.add_parser("compare", help="hold two reports against each other")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument(
        "--fail-below", type=positive, help="exit 1 if a case is shown to be slower, as 0.9"
    )
    comparing.set_defaults(command=compare_two)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("cases", nargs="*", help="as `list` names them; `drain` is all that begin with drain/")
    add("--full", action="store_true", help="all cases, as `make bench-full`")
    add("--events", type=count, default=0, help="of a drain (200,000; --full: 300,000)")
    add("--seconds", type=from_one, default=0.0, help="of what is timed (15; --full: 20)")
    add("--soak-seconds", type=from_one, default=0.0, help="of a soak (300)")
    add(
        "--rate",
        type=from_one,
        default=0.0,
        help="a second, of what is paced at half the knee; else half of the knee that was found",
    )
    add("--repeats", type=count, default=1, help="of each case in turn; with --full, of the main ones")
    add("--workers", type=count, default=2, help="posting workers (2: one a core, as `ledger up` has)")
    add("--partitions", type=count, default=4)
    add(
        "--with",
        dest="beside",
        action="append",
        default=[],
        choices=["windows", "chain"],
        help="other workers",
    )
    add(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the ledger",
    )
    add("--seed", type=int, default=1)
    add("--json", action="store_true", help="the report as JSON to the standard output")
    add(
        "--out",
        type=Path,
        help="write report.json and report.html into this folder; else into LEDGER_REPORTS_DIR, if set",
    )
    add("--targets", action="store_true", help="exit 1 unless every target was measured, and holds")
    parser.set_defaults(command=run)


if __name__ == "__main__":
    sys.exit(main())
