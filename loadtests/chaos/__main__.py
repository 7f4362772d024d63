"""`python -m loadtests.chaos run [--seed N] [--only F5,F9] [--seconds S] [--rate R] [--json] [--out DIR]`, and `list`.

Exit 1 if an invariant does not hold, a fault could not be injected as it is meant, or the lag did not go in time.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic, time

from loadtests.arguments import UsageError, check_folder, positive
from loadtests.bench.machine import commit, this_machine
from loadtests.chaos.fault import WHOLE, Fault
from loadtests.chaos.faults import FAULTS
from loadtests.chaos.memory import LIFE_S_MIN
from loadtests.chaos.page import page
from loadtests.chaos.results import Report
from loadtests.chaos.run import Wanted, cannot, run
from loadtests.chaos.schedule import Plan, plan
from loadtests.chaos.stage import Wishes
from loadtests.interrupting import INTERRUPTED, cancel_on_sigterm

RATE = 300.0
USAGE = 2
"""The exit code of what cannot be run as it was asked for."""
ELSEWHERE = "a scene of its own, and a run for a time has one scene"
LONG_S = 600.0
TOO_LONG = "it goes through all that was posted, and after so many records that takes too long"


def main() -> None:
    """Do what was asked."""
    given = parser().parse_args()
    if given.command == "list":
        list_faults()
        return
    try:
        if given.out:
            check_folder(given.out)
        report = asyncio.run(_run(given))
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(USAGE)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("interrupted; nothing is left running\n")
        sys.exit(INTERRUPTED)
    print(json.dumps(report.told(brief=True), indent=2)) if given.json else show(report)
    if given.out:
        sys.stderr.write(f"the report is in {given.out}\n")
    sys.exit(not (report.ok and report.ran))


def list_faults() -> None:
    """Print every fault, and why it cannot be injected here, if so."""
    for fault in FAULTS.values():
        missing = fault.needs()
        print(f"{fault.name:4} {fault.title}" + (f" (not here: needs {missing})" if missing else ""))


def show(report: Report) -> None:
    """Print a line for each fault and each invariant, and what was found."""
    for each in report.faults:
        recovered = "" if each.recovered_in_s is None else f"recovered in {each.recovered_in_s} s"
        print(f"{each.name:14} {each.verdict:14} {each.title}: {each.why or recovered}")
    for name, checked in report.invariants.items():
        print(f"{name:14} {checked.verdict:14} {checked.checked:,} checked")
        for note in checked.notes:
            print(f"{'':14} {note}")
        for finding in checked.findings[:20]:
            print(f"{'':14} {json.dumps(finding)}")
    for scene in report.scenes:
        for why in scene.why:
            print(f"{scene.name}: {why}")
    well = "VIOLATED" if not report.ok else "ok" if report.ran else "NOTHING RUN"
    print(f"{well}: seed {report.seed}, {report.seconds:g} s: {report.coverage.said}")


def write(report: Report, directory: Path) -> None:
    """Write report.json and report.html."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report.told(), indent=2) + "\n")
    (directory / "report.html").write_text(page(report))


async def _run(given: argparse.Namespace) -> Report:
    begun = monotonic()
    cancel_on_sigterm()

    def tell(text: str) -> None:
        print(f"{monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    possible, missing = _split(chosen(given.only))
    directory = Path(tempfile.mkdtemp(prefix="ledger-chaos-"))
    # PostgreSQL, which is not root, has to get to its files.
    directory.chmod(0o755)  # noqa: ASYNC240 - before anything runs
    is_long = (given.seconds or 0.0) >= LIFE_S_MIN
    wishes = Wishes(rate=given.rate or RATE, seed=given.seed, share=given.share, spares=is_long)
    machine = this_machine()
    notes = [f"commit {await commit()}; {machine.cores} cores of {machine.cpu}, {machine.kernel}"]
    wanted = Wanted(given.seed, directory, wishes, tell, given.seconds, given.rate, notes)
    if given.out:
        wanted = replace(wanted, so_far=partial(write, directory=given.out))
    tell(f"seed {given.seed}, {notes[0]}, {directory}")
    try:
        plans, left_out = plans_of(possible, given)
        missing += left_out
        return await run(plans, [cannot(fault, why) for fault, why in missing], wanted)
    finally:
        if not given.keep:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def chosen(names: Sequence[str]) -> list[Fault]:
    """Give the faults of these names, or all; raises UsageError for one that is not there."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise UsageError(f"no fault {', '.join(unknown)}: there are {', '.join(FAULTS)}")
    return [FAULTS[name] for name in names or FAULTS]


def plans_of(
    faults: Sequence[Fault], given: argparse.Namespace
) -> tuple[list[Plan], list[tuple[Fault, str]]]:
    """Plan all scenes, or only the first, where faults go on for a time; tells which faults are left out, and why."""
    if given.seconds is None:
        return plan(faults, given.seed), []
    left_out = [(fault, ELSEWHERE) for fault in faults if fault.scene != WHOLE]
    if given.seconds > LONG_S:
        left_out += [(fault, TOO_LONG) for fault in faults if fault.reads_all]
    without = [fault for fault, _ in left_out]
    return plan([fault for fault in faults if fault not in without], given.seed), left_out


def _split(faults: Sequence[Fault]) -> tuple[list[Fault], list[tuple[Fault, str]]]:
    needs = [(fault, fault.needs()) for fault in faults]
    return [fault for fault, why in needs if why is None], [(fault, why) for fault, why in needs if why]


def parser() -> argparse.ArgumentParser:
    """Make what reads the arguments."""
    given = argparse.ArgumentParser(prog="chaos", description=__doc__)
    commands = given.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every fault, and what it needs")
    running = commands.add_parser("run", help="inject faults, and judge")
    running.add_argument(
        "--seed", type=int, default=int(time()) % 10**6, help="the same seed, the same schedule"
    )
    running.add_argument("--only", type=_names, default=[], metavar="F5,F9", help="only these faults")
    running.add_argument(
        "--seconds", type=positive, metavar="S", help="go on at random for so long, in one scene"
    )
    running.add_argument("--minutes", dest="seconds", type=_minutes, metavar="M", help="the same, in minutes")
    running.add_argument(
        "--rate", type=_rate, default=RATE, help="records sent a second, or half of the peak: half"
    )
    running.add_argument(
        "--share", type=positive, metavar="S", default=1.0, help="of the usual time of each fault, so much"
    )
    running.add_argument("--json", action="store_true", help="print the report as JSON")
    running.add_argument("--out", type=Path, help="where report.json and report.html are written")
    running.add_argument("--keep", action="store_true", help="keep the data and logs")
    return given


def _minutes(text: str) -> float:
    return 60 * positive(text)


def _rate(text: str) -> float | None:
    return None if text == "half" else positive(text)


def _names(text: str) -> list[str]:
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no fault")
    return names


if __name__ == "__main__":
    main()
