"""What an operator asks of a replay, and what is told at its end."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from ledger.application.dead_letters import LetterQuery, Place
from streams.doctor.finding import counted
from streams.replay.plan import Filters
from streams.replay.run import Told

SourceKind = Literal["topic", "archive", "file", "dead-letters"]
TargetKind = Literal["dry-run", "into", "live"]
OutcomesFrom = Literal["books", "topic", "archive"]

Stretch = tuple[int, int]

PUBLISHING: Sequence[SourceKind] = ("topic", "archive")
"""Sources of which a killed replay leaves what is posted and not published, and nothing else tells it."""


_NOTHING_FITS = "no event fits the tenants, types, accounts and ids that were named"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One replay as it was asked for."""

    target: TargetKind
    name: str | None = None
    """The schema to rebuild into."""
    source: SourceKind = "topic"
    partitions: Sequence[int] = ()
    offsets: Mapping[int, Stretch] = {}
    """By partition, the first offset and the one to stop before."""
    since: datetime | None = None
    until: datetime | None = None
    file: str | None = None
    archive: str | None = None
    """Where the archive is."""
    letters: LetterQuery = LetterQuery()
    places: Sequence[Place] = ()
    filters: Filters = Filters()
    since_books: bool = False
    outcomes: OutcomesFrom = "books"
    """Where it is looked up what was decided before."""
    rate: float = 0.0
    resume: bool = False
    anew: bool = False
    """Begin though one that was begun before has not come to its end."""
    by: str = ""
    why: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether all of the topic is asked for."""
        cut = self.partitions or self.offsets or self.since or self.until
        return self.source in ("topic", "archive") and not cut and not self.filters.narrow


class Source(msgspec.Struct, frozen=True):
    """What a replay was found to read, as it is written down: enough to go on with."""

    kind: SourceKind
    lanes: dict[int, Stretch]
    topic: str | None = None
    file: str | None = None
    filters: Filters = Filters()
    whole: bool = False
    since_books: bool = False
    outcomes: OutcomesFrom = "books"
    expected: str | None = None
    """The digest of the live books as they stood where the lanes end."""
    archive: str | None = None
    own_since: datetime | None = None
    """When the first of the replays began whose work is left to this one."""
    takes_over: Sequence[str] = ()
    """The ids of stopped replays of which this one does all that they left."""
    noted: dict[int, int] = {}
    """By partition, where the workers' group stands, if that is before the lane ends."""

    def books_at(self, partition: int, reached: int) -> int:
        """Say where the books may tell that they stand, of a lane that is posted up to `reached`.

        Not where the group stands, before the end: the workers would go on there, with what is this replay's to post.
        """
        noted = self.noted.get(partition)
        ended = partition in self.lanes and reached >= self.lanes[partition][1]
        return reached if noted is None or ended else min(reached, noted - 1)


class Proof(msgspec.Struct, frozen=True):
    """Digests of the live books when the replay began, and of what it made."""

    expected: str
    digest: str

    @property
    def same(self) -> bool:
        return self.expected == self.digest


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    target: TargetKind
    name: str | None
    source: Source
    told: Told
    proof: Proof | None = None
    differences: Mapping[str, Any] | None = None
    """The comparison with the live books, where the proof failed."""
    changed: Sequence[Mapping[str, Any]] = ()
    """Of a dry run: what would stand otherwise, before and after."""
    changed_count: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing came out otherwise than it was, and every line of a file is an event."""
        wrong_lines = self.source.kind == "file" and self.told.counts.get("dead_letter")
        same = self.proof is None or self.proof.same
        return same and not wrong_lines and not self.told.counts.get("different")

    @property
    def verdict(self) -> str:
        """Say in a sentence what came of it."""
        wrong = self.told.counts.get("dead_letter", 0) if self.source.kind == "file" else 0
        are = "line is no event" if wrong == 1 else "lines are no events"
        return f"{self._came_of_it}; {wrong:,} {are}" if wrong else self._came_of_it

    @property
    def _came_of_it(self) -> str:
        counts = self.told.counts
        posted, refused = counts.get("posted", 0), counts.get("rejected", 0)
        if self.target == "into":
            return self._rebuilt(posted, refused)
        if sent := counts.get("sent", 0):
            return f"{counted(sent, 'event')} sent to the topic; the workers post them"
        would = "would be " if self.target == "dry-run" else ""
        if self.told.changed_nothing:
            done = "nothing changed" if self.target == "live" else "nothing would change"
            return f"{done}; {_NOTHING_FITS}" if self._nothing_fits else done
        return f"{counted(posted, 'event')} {would}posted, {refused:,} {would}refused"

    @property
    def _nothing_fits(self) -> bool:
        """Whether filters left out all that was read."""
        counts = {name for name, count in self.told.counts.items() if count}
        return self.source.filters.narrow and counts <= {"left_out"}

    def _rebuilt(self, posted: int, refused: int) -> str:
        done = f"{counted(posted, 'event')} posted and {refused:,} refused in {self.name}"
        if self._nothing_fits:
            return f"{done}; {_NOTHING_FITS}"
        if self.proof is None:
            return done
        return f"{done}; " + (
            "the digest is that of the live books"
            if self.proof.same
            else "the digest is NOT that of the live books"
        )

    @property
    def left_open(self) -> Mapping[str, int]:
        """Of a replay of dead letters: why letters stay open, and how many; else nothing."""
        if self.source.kind != "dead-letters":
            return {}
        counts = self.told.counts
        others = {name: counts[name] for name in ("event_id_reused", "left_out") if counts.get(name)}
        return dict(self.told.not_events.reasons) | others

    @property
    def not_events(self) -> Sequence[Mapping[str, Any]]:
        """Name the first of what is no event: a line of a file by its number, from 1, else the record's place."""
        shown = self.told.not_events.shown
        if self.source.kind != "file":
            return shown
        return [
            {"line": each["offset"] + 1, "reason": each["reason"], "detail": each["detail"]} for each in shown
        ]

    def as_dict(self) -> dict[str, Any]:
        """Give the shape that `ledger replay --json` prints."""
        told = self.told
        facts: dict[str, Any] = {
            "ok": self.ok,
            "verdict": self.verdict,
            "target": self.target,
            "name": self.name,
            "source": msgspec.to_builtins(self.source, str_keys=True),
            "records": told.records,
            "records_before": told.before,
            "seconds": round(told.seconds, 3),
            "records_s": round(told.records / told.seconds, 1) if told.seconds else None,
            "counts": dict(told.counts),
            "reasons": dict(told.reasons),
            "different": list(told.different),
            "refused_unseen": list(told.unseen),
            "not_events": {"reasons": dict(told.not_events.reasons), "shown": list(self.not_events)},
            "curve": [[round(seconds, 2), count] for seconds, count in told.curve],
        }
        if self.proof is not None:
            facts["proof"] = {**msgspec.to_builtins(self.proof), "same": self.proof.same}
        if self.source.kind == "dead-letters":
            facts["left_open"] = self.left_open
        if self.differences is not None:
            facts["comparison"] = self.differences
        if self.target == "dry-run":
            facts |= {"changed_count": self.changed_count, "changed": list(self.changed)}
        return facts
