"""What reads all the while finds what no reader may see."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from loadtests.chaos.checker.history import history_findings, reads_of
from loadtests.chaos.reads import TOTAL, Reader, reads_in


@pytest.mark.parametrize(
    ("look", "answers", "ok"),
    [
        ("_strong", [{"version": 5, "balance": 7}, {"version": 5, "balance": 7}], True),
        ("_strong", [{"version": 5, "balance": 7}, {"version": 4, "balance": 6}], False),
        ("_snapshot", [{"items": [{"balances": [{"balance": TOTAL}]}]}] * 2, True),
        ("_snapshot", [{"items": [{"balances": [{"balance": TOTAL - 1}]}]}] * 2, False),
        ("_trial", [{"items": [{"difference": 0}]}] * 2, True),
        ("_trial", [{"items": [{"difference": 1}]}] * 2, False),
    ],
)
async def test_a_reader_finds_what_nobody_may_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str, answers: list[Any], ok: bool
) -> None:
    reader = Reader("http://nowhere", "key", None, 1, reads_in(tmp_path))  # type: ignore[arg-type]
    left = iter(answers)

    async def answered(*_: object, **__: object) -> Any:
        return next(left)

    monkeypatch.setattr(reader, "_ask", answered)
    monkeypatch.setattr(reader, "_account", lambda: "bank:1")
    monkeypatch.setattr(reader, "_checked", 1)
    for _ in answers:
        await getattr(reader, look)()
    reader.close()
    assert reader.verdict().ok is ok
    # The checker comes to the same by itself, from what was written down.
    if look == "_strong":
        read = list(reads_of(reads_in(tmp_path)))
        assert [(each.account, each.version, each.at_least) for each in read] == [
            ("bank:1", 5, 0),
            ("bank:1", answers[1]["version"], 5),
        ]
        assert bool(list(history_findings(read))) is not ok


@pytest.mark.parametrize(
    ("seen_s_ago", "answer", "ok"),
    [
        (3.0, {"version": 5, "age_ms": 0}, True),
        (3.0, {"version": 4, "age_ms": 4000}, True),
        (3.0, {"version": 4, "age_ms": 1000}, False),
        (9.0, {"version": 4, "age_ms": 10_000}, False),
    ],
    ids=["new", "as old as it says", "older than it says", "older than it may be"],
)
async def test_a_reader_holds_cached_reads_to_their_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen_s_ago: float, answer: dict[str, int], ok: bool
) -> None:
    reader = Reader("http://nowhere", "key", None, 1, reads_in(tmp_path))  # type: ignore[arg-type]

    async def answered(*_: object, **__: object) -> Any:
        return answer | {"balance": 7}

    monkeypatch.setattr(reader, "_ask", answered)
    monkeypatch.setattr(reader, "_account", lambda: "bank:1")
    monkeypatch.setattr(reader, "_seen", {"bank:1": [(monotonic() - seen_s_ago, 5)]})
    monkeypatch.setattr(reader, "_checked", 1)
    await reader._cached()
    reader.close()
    assert reader.verdict().ok is ok
