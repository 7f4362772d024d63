"""Outcomes that a replay goes by: from before the first record that is left, and refused where some may have gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ledger.adapters.objects.store import open_objects
from ledger.application.replaying import Reached
from ledger.config import Settings
from ledger.contract.dead_letter import Record
from ledger.contract.outgoing import outcome_message
from ledger.domain.moments import milliseconds
from ledger.domain.outcome import Outcome
from streams.replay.decided import decided, refuse_gone
from streams.replay.faults import NotReplayableError
from streams.replay.read import ArchiveLane
from streams.replay.wish import Source
from tests.archives import TOPIC, MemoryTopic, archived
from tests.builders import NOW, body, encoded, transfer

SENT = transfer("external:bank", "ann", 5, name="sent")
SETTINGS = Settings()


def outcome_at(offset: int, at: datetime) -> Record:
    message = outcome_message(Outcome(SENT, "posted", at, transaction=SENT.id))
    return Record(
        SETTINGS.outcomes_topic, 0, offset, message.key, message.value, message.headers, milliseconds(at)
    )


def payments(offsets: range) -> list[Record]:
    values = [encoded(body(name=offset)) for offset in offsets]
    return [
        Record(TOPIC, 0, offset, None, value, (), milliseconds(NOW) + offset)
        for offset, value in zip(offsets, values, strict=True)
    ]


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """An archive of payments of which some expired before they were archived, and of an outcome by a late clock."""
    url = str(tmp_path / "archive")
    objects, topic = open_objects(url, make=True), MemoryTopic()
    topic.add(payments(range(10)))
    await archived(topic, objects)
    topic.add(payments(range(10, 20)))
    topic.expire(0, 14)
    await archived(topic, objects)
    outcomes = MemoryTopic(SETTINGS.outcomes_topic)
    outcomes.add([outcome_at(0, NOW - timedelta(minutes=50))])
    await archived(outcomes, objects)
    return url


async def found(url: str, reached: int | None = None) -> Sequence[object]:
    source = Source("archive", {0: (0, 20)}, TOPIC, outcomes="archive", archive=url)
    state = {} if reached is None else {0: Reached(reached, NOW)}
    async with decided(source, [ArchiveLane(url, TOPIC, 0, 0, 20)], state, SETTINGS) as index:
        return [each.kind for each in (await index.of([SENT])).values()]


async def test_what_is_left_is_enough_to_go_on_and_clocks_may_be_apart(url: str) -> None:
    with pytest.raises(NotReplayableError, match="lacks offsets 10 to 13"):
        await found(url)
    assert await found(url, 14) == ["posted"]


async def test_where_nothing_is_left_no_outcomes_are_read(url: str) -> None:
    assert await found(url, 20) == []


async def test_outcomes_that_an_archive_lacks_are_not_passed_by(url: str) -> None:
    outcomes = MemoryTopic(SETTINGS.outcomes_topic)
    outcomes.add([outcome_at(0, NOW - timedelta(minutes=50)), *(outcome_at(at, NOW) for at in range(1, 9))])
    outcomes.expire(0, 4)
    await archived(outcomes, open_objects(url))
    with pytest.raises(NotReplayableError, match=r"lacks offsets 1 to 3, which expired.* --outcomes books"):
        await found(url, 14)


@pytest.mark.parametrize(
    ("expired", "since_s", "kept_s", "refused"),
    [
        (0, -9, None, False),
        (5, 5, None, True),
        (5, 6, None, False),
        (10, 9, None, True),
        (10, 9, 8, False),
        (10, 9, 10, True),
    ],
)
async def test_outcomes_that_begin_too_late_are_refused(
    expired: int, since_s: int, kept_s: int | None, refused: bool
) -> None:
    topic = MemoryTopic(SETTINGS.outcomes_topic)
    topic.add([outcome_at(at, NOW + timedelta(seconds=at)) for at in range(10)])
    topic.expire(0, expired)
    kept = None if kept_s is None else NOW + timedelta(seconds=kept_s)
    said = None
    try:
        await refuse_gone(topic, NOW + timedelta(seconds=since_s), kept, "What then.")
    except NotReplayableError as error:
        said = str(error)
    assert (said is not None) == refused
    assert said is None or said.startswith(f"{SETTINGS.outcomes_topic}/0 begins at {expired} by now")
