"""How long records take from being sent to being posted: the truth beside what the books say."""

import asyncio
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import NamedTuple

from loadtests.chaos.load import truth_in
from loadtests.chaos.stage import Stage
from loadtests.chaos.truth import read_truth

FLUSHED_S = 1.5
"""The sender writes a record into the truth once it is acknowledged, and the books have it a little later."""

_POSTED = """
select p."partition", p."offset", coalesce(p.posted_at, t.posted_at) as posted_at
from processed_events p left join transactions t using (event_id, tenant_id)
where p.topic = $1 and coalesce(p.posted_at, t.posted_at) >= $2 and coalesce(p.posted_at, t.posted_at) < $3
"""


class Span(NamedTuple):
    """A time, from and to."""

    since: datetime
    until: datetime


async def a_while(seconds: float) -> Span:
    """Wait, and give the time that it took."""
    since = datetime.now(UTC)
    await asyncio.sleep(seconds)
    return Span(since, datetime.now(UTC))


async def latencies(stage: Stage, span: Span) -> list[float]:
    """Give how long each record took that was sent and posted in a time: seconds; the time must be past."""
    await asyncio.sleep(FLUSHED_S)
    sent = await asyncio.to_thread(_sent, stage, span)
    rows = await stage.sql(
        _POSTED, stage.settings.payments_topic, span.since, span.until + timedelta(seconds=FLUSHED_S)
    )
    return [
        (row["posted_at"] - sent[row["partition"], row["offset"]]).total_seconds()
        for row in rows
        if (row["partition"], row["offset"]) in sent
    ]


def figures(seconds: list[float]) -> dict[str, float]:
    """Give how many records there were, and the time that half and 99 of a hundred took at most: milliseconds."""
    if len(seconds) < 2:
        return {"records": len(seconds)}
    cuts = quantiles(seconds, n=100)
    return {"records": len(seconds), "p50_ms": round(cuts[49] * 1000, 1), "p99_ms": round(cuts[98] * 1000, 1)}


def _sent(stage: Stage, span: Span) -> dict[tuple[int, int], datetime]:
    return {
        (record.partition, record.offset): datetime.fromtimestamp(record.at, UTC)
        for record in read_truth(truth_in(stage.state.path))
        if record.partition is not None
        and record.offset is not None
        and span.since.timestamp() <= record.at < span.until.timestamp()
    }
