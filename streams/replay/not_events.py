"""What a replay met that is no event: the first of it by place, and all of it by reason."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from streams.replay.plan import Fate, Placed

NOT_EVENTS_SHOWN_MAX = 20


class NotEvents:
    """Records of one run that are no events."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.shown: list[dict[str, Any]] = []
        """Their topic or file, their offset or the number of their line from 0, and what is wrong with them."""

    def note(self, batch: Iterable[Placed]) -> None:
        """Take in a batch."""
        for each in batch:
            if each.fate is not Fate.LETTER or each.letter is None:
                continue
            record, reason = each.letter.record, str(each.letter.reason)
            self.reasons[reason] += 1
            if len(self.shown) < NOT_EVENTS_SHOWN_MAX:
                told = {"reason": reason, "detail": each.letter.detail}
                self.shown.append(
                    {"topic": record.topic, "partition": record.partition, "offset": record.offset, **told}
                )
