"""How old records are when the books and the windows have them, counted from signals."""

from prometheus_client import CollectorRegistry

from ledger.observability.ages import Ages
from ledger.observability.signals import Facts

_UNTIL = ("committed", "published", "windows")


class FreshnessMetrics:
    """A listener that counts ages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        says = "Age of a record when something was done with it"
        self._ages = Ages("ledger_freshness_seconds", says, "until", _UNTIL, registry)

    def __call__(self, name: str, facts: Facts) -> None:
        if name == "chunk.handled":
            self._posted(facts)
        elif name == "entries.merged":
            self._merged(facts)

    def _posted(self, facts: Facts) -> None:
        """Only what was decided in this chunk has an age; redelivered records come first in it."""
        begun = facts["begun_at"]
        again = sum(each.posted_at < begun and each.kind != "duplicate" for each in facts["outcomes"])
        times_ms = [record.timestamp for record in facts["taken"][again:]]
        done_ms = (begun.timestamp() + sum(facts["steps_s"].values())) * 1000
        self._ages.observe("committed", times_ms, done_ms - facts["steps_s"]["publish"] * 1000)
        self._ages.observe("published", times_ms, done_ms)

    def _merged(self, facts: Facts) -> None:
        times_ms = [record.timestamp for record in facts["taken"]]
        self._ages.observe("windows", times_ms, facts["at"].timestamp() * 1000)
