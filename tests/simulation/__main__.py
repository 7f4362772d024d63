"""`python -m tests.simulation`: run seeds, and keep the plan of each that fails, made as small as it can be."""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
from msgspec.structs import replace

from loadtests.arguments import count
from loadtests.interrupting import INTERRUPTED
from tests.simulation.plan import Plan, load, save
from tests.simulation.run import Verdict, run, run_seed
from tests.simulation.sharing import quieten, verdicts
from tests.simulation.shrink import shrink

TAIL = 40
TOLD_EVERY_S = 10.0


def main() -> int:
    """Run what was asked for; gives the exit code: 1 if anything was found."""
    arguments = _arguments()
    quieten()
    if arguments.plan is not None:
        return _show(run(_kept(arguments.plan)), arguments.trace)
    if arguments.seed is not None:
        return _show(run_seed(arguments.seed), arguments.trace)
    began, failed, heard = time.monotonic(), [], Counter[str]()
    told = began
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for number, verdict in enumerate(verdicts(seeds, arguments.processes), start=1):
        heard.update(verdict.heard)
        if verdict.found:
            failed.append(verdict)
            _tell(verdict, arguments.shrink)
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            _progress(number, len(seeds), len(failed), told - began)
    _progress(len(seeds), len(seeds), len(failed), time.monotonic() - began)
    if arguments.json:
        print(json.dumps(_report(seeds, failed, heard, time.monotonic() - began), indent=1))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=count, metavar="N", default=1000, help="how many")
    parser.add_argument("--first", type=int, metavar="N", default=1, help="the first of them")
    parser.add_argument("--processes", type=count, metavar="N", default=1, help="processes that share them")
    parser.add_argument("--json", action="store_true", help="print a report as JSON at the end")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false", help="keep nothing, only tell")
    parser.add_argument("--seed", type=int, help="run this one, and print what came of it")
    parser.add_argument("--plan", type=Path, help="run a plan that was kept")
    parser.add_argument("--trace", action="store_true", help="print the whole trace of it")
    return parser.parse_args()


def _kept(path: Path) -> Plan:
    """Read a plan that was kept; raises SystemExit, in words, where there is none."""
    try:
        return load(path)
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise SystemExit(f"{path} is no plan: {error}") from error


def _show(verdict: Verdict, whole: bool) -> int:
    print("\n".join(verdict.trace if whole else verdict.trace[-TAIL:]))
    print(f"seed {verdict.plan.seed}, trace {verdict.digest}: {verdict.found or 'nothing found'}")
    return 1 if verdict.found else 0


def _tell(verdict: Verdict, shrinks: bool) -> None:
    print(f"\nseed {verdict.plan.seed} fails:", *verdict.found, *verdict.trace[-TAIL:], sep="\n  ")
    if shrinks:
        smaller = smallest(verdict)
        path = save(smaller)
        print(f"  {len(smaller.sent)} events and {len(smaller.faults)} faults are enough: {path}")
    sys.stdout.flush()


def smallest(verdict: Verdict) -> Plan:
    """Give the smallest plan found that breaks the same invariant."""
    kind = verdict.found[0][:2]
    plan = shrink(verdict.plan, lambda plan: any(found[:2] == kind for found in run(plan).found))
    return replace(plan, expects=verdict.found[0])


def _progress(done: int, of: int, failed: int, seconds: float) -> None:
    print(f"{done} of {of} seeds in {seconds:.0f} s, {failed} failed", file=sys.stderr, flush=True)


def _report(seeds: range, failed: list[Verdict], heard: Counter[str], seconds: float) -> dict[str, object]:
    return {
        "first": seeds.start,
        "seeds": len(seeds),
        "seconds": round(seconds, 1),
        "failed": {each.plan.seed: list(each.found) for each in failed},
        "signals": dict(sorted(heard.items())),
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
