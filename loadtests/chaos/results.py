"""What came of a run: of each fault, of each scene, of each invariant."""

from typing import Any, Literal

import msgspec

from loadtests.chaos.lag import Sample

Verdict = Literal["ok", "violated", "did not happen", "not run"]
TABLE = 33
"""So many faults there are."""
BAD = ("violated", "did not happen")
INVARIANTS = {
    "Z": "zero: entries of a transaction sum to zero",
    "O": "once: one outcome, at most one transaction",
    "L": "no loss: what was acknowledged is accounted for",
    "B": "balances are the sum of their entries",
    "W": "windows are as SQL works them out",
    "S": "sagas end, and the provider's book is ours",
    "R": "reads never go back, and sums stay",
    "P": "replay gives the same books",
    "V": "liveness: lag goes, memory is bounded",
    "T": "tenants see nothing of each other",
}


class Injected(msgspec.Struct, frozen=True):
    """What came of one fault: times in seconds since the scene began."""

    name: str
    title: str
    scene: str
    verdict: Verdict
    why: str = ""
    began_s: float = 0.0
    healed_s: float = 0.0
    recovered_in_s: float | None = None
    did: dict[str, Any] = {}
    restarts: dict[str, int] = {}


class Checked(msgspec.Struct, frozen=True):
    """What was found about one invariant; `checked` is how much was looked at."""

    ok: bool
    checked: int = 0
    findings: list[Any] = []
    notes: list[str] = []

    @property
    def verdict(self) -> str:
        """Say ok only of what was looked at."""
        return "violated" if not self.ok else "ok" if self.checked else "not checked"


def together(*all_invariants: dict[str, Checked]) -> dict[str, Checked]:
    """Put together what was found about invariants in several places."""
    found: dict[str, Checked] = {}
    for invariants in all_invariants:
        for name, each in invariants.items():
            before = found.get(name, Checked(ok=True))
            found[name] = Checked(
                before.ok and each.ok,
                before.checked + each.checked,
                [*before.findings, *each.findings],
                [*before.notes, *each.notes],
            )
    return found


class Scene(msgspec.Struct, frozen=True):
    """What came of one scene; `why` is what went wrong beside the faults and the invariants."""

    name: str
    seconds: float
    sent: int
    faults: list[Injected]
    invariants: dict[str, Checked]
    rate: float = 0.0
    samples: list[Sample] = []
    memory_mib: dict[str, list[tuple[float, float]]] = {}
    births_s: dict[str, list[float]] = {}
    quiet_in_s: float | None = None
    why: list[str] = []

    @property
    def ok(self) -> bool:
        bad = any(each.verdict in BAD for each in self.faults)
        return not (bad or self.why or any(not each.ok for each in self.invariants.values()))


class Coverage(msgspec.Struct, frozen=True):
    """How many faults there are, were run, and passed; of those that were asked for and not run, why not.

    `not_checked` names the invariants of which nothing was looked at.
    """

    of: int
    run: int
    passed: int
    not_run: dict[str, str]
    not_asked_for: int
    not_checked: list[str] = []

    @property
    def said(self) -> str:
        """Say it in a line."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.not_run.items():
            reasons.setdefault(why, []).append(name)
        left = [f"{', '.join(names)} ({why})" for why, names in reasons.items()]
        left += [f"{self.not_asked_for} not asked for"] if self.not_asked_for else []
        counts = f"{self.run} of {self.of} faults run, {self.passed} passed"
        told = f"{counts}; not run: {'; '.join(left)}" if left else counts
        return f"{told}; not checked: {', '.join(self.not_checked)}" if self.not_checked else told


class Report(msgspec.Struct, frozen=True):
    """A whole run; the same seed gives the same schedule."""

    seed: int
    rate: float
    started_at: str
    seconds: float
    scenes: list[Scene]
    notes: list[str] = []
    of: int = TABLE
    """So many faults there are."""

    @property
    def ok(self) -> bool:
        return all(scene.ok for scene in self.scenes)

    @property
    def ran(self) -> bool:
        """Whether any fault was injected: else nothing has been shown."""
        return self.coverage.run > 0

    @property
    def faults(self) -> list[Injected]:
        """All faults in the order of the run."""
        return [each for scene in self.scenes for each in scene.faults]

    @property
    def coverage(self) -> Coverage:
        """How much of the table was run."""
        verdicts: dict[str, set[str]] = {}
        for each in self.faults:
            verdicts.setdefault(each.name, set()).add(each.verdict)
        run = [found for found in verdicts.values() if not found & {"did not happen", "not run"}]
        why = {each.name: each.why for each in self.faults if each.verdict in ("did not happen", "not run")}
        passed, invariants = sum(found == {"ok"} for found in run), self.invariants
        missed = [
            name for name in INVARIANTS if name not in invariants or invariants[name].verdict == "not checked"
        ]
        return Coverage(self.of, len(run), passed, why, self.of - len(verdicts), missed)

    @property
    def invariants(self) -> dict[str, Checked]:
        """Each invariant over all scenes."""
        return together(*(scene.invariants for scene in self.scenes))

    def told(self, *, brief: bool = False) -> dict[str, Any]:
        """As JSON says it; brief: without what was seen over time."""
        scenes: list[dict[str, Any]] = msgspec.to_builtins(self.scenes)
        for scene in scenes if brief else ():
            scene.pop("samples")
            scene.pop("memory_mib")
            scene.pop("births_s")
        return {
            "ok": self.ok,
            "seed": self.seed,
            "rate": self.rate,
            "started_at": self.started_at,
            "seconds": self.seconds,
            "invariants": msgspec.to_builtins(self.invariants),
            "coverage": {**msgspec.to_builtins(self.coverage), "said": self.coverage.said},
            "faults": {each.name: f"{each.verdict} {each.why}".strip() for each in self.faults},
            "scenes": scenes,
            "notes": self.notes,
        }
