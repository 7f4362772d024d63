"""Tells what came of replays and comparisons: in lines for a terminal, or as a page."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from streams.doctor.finding import counted
from streams.replay.html import Code, bars, curve, note, page, table, verdict
from streams.replay.wish import Report

_PARTS = ("posted_debits", "posted_credits", "held", "version")


def report_lines(report: Report) -> Iterator[str]:
    """Tell a replay in lines."""
    facts = report.as_dict()
    records = counted(facts["records"], "record")
    yield f"{records} in {facts['seconds']:.1f} s, {facts['records_s'] or 0:,.0f} a second"
    if before := facts["records_before"]:
        yield f"{before + facts['records']:,} records in all runs of this replay, of which these are the counts:"
    yield from (f"  {name:<22} {count:>12,}" for name, count in sorted(facts["counts"].items()))
    yield from (f"  refused: {name:<13} {count:>12,}" for name, count in sorted(facts["reasons"].items()))
    yield from _not_event_lines(report)
    for each in facts["different"]:
        yield f"{each['tenant']} {each['event']} was {each['was']} and is {each['is']}"
    for each in facts["refused_unseen"]:
        yield f"{each['tenant']} {each['event']} was refused; in this order of times it would be {each['rules_say']}"
    yield from _changed_lines(facts)
    if report.proof is not None:
        yield f"digest of the live books   {report.proof.expected}"
        yield f"digest of {report.name or '':<16} {report.proof.digest}"
    if report.differences is not None:
        yield from comparison_lines(report.differences, "live", report.name or "right")
    yield f"{report.verdict}."


def _not_event_lines(report: Report) -> Iterator[str]:
    """Name what of a file or of dead letters is no event; what a topic has of it is kept as dead letters."""
    if report.source.kind not in ("file", "dead-letters"):
        return
    for where, fault in _not_events(report):
        yield f"{where}: {fault}"
    if report.left_open:
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(report.left_open.items()))
        yield f"{sum(report.left_open.values()):,} letters stay open: {told}"


def _not_events(report: Report) -> Iterator[tuple[str, str]]:
    for each in report.not_events:
        place = f"{each['topic']}/{each['partition']}/{each['offset']}" if "offset" in each else None
        yield place or f"{report.source.file}:{each['line']}", f"{each['reason']}: {each['detail']}"


def _changed_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    for each in facts.get("changed", ()):
        before, after = each["before"], each["after"]
        parts = [
            f"{part} {before[part]:,} to {after[part]:,}" for part in _PARTS if before[part] != after[part]
        ]
        yield f"{_name(after)}: {', '.join(parts)}"


def _name(standing: Mapping[str, Any]) -> str:
    return f"{standing['tenant']}/{standing['account']} {standing['asset']}"


def comparison_lines(facts: Mapping[str, Any], left: str = "left", right: str = "right") -> Iterator[str]:
    """Tell a comparison in lines."""
    width = max(12, len(left), len(right))
    for each in facts["differences"]:
        yield f"{_name(each)} differs in {', '.join(each['what'])} (by {each['view']})"
        yield from (
            f"  {side:<{width}} {_standing(each.get(at))}" for side, at in ((left, "left"), (right, "right"))
        )
        if "entry" in each:
            yield f"  first at entry {each['entry']}:"
            yield f"  {left:<{width}} {_entry(each.get('left_entry'))}"
            yield f"  {right:<{width}} {_entry(each.get('right_entry'))}"
        elif "left_hold" in each or "right_hold" in each:
            yield f"  {left:<{width}} {_hold(each.get('left_hold'))}"
            yield f"  {right:<{width}} {_hold(each.get('right_hold'))}"
    if facts["count"] > len(facts["differences"]):
        yield f"… {facts['count']:,} in all"


def _standing(found: Mapping[str, Any] | None) -> str:
    return "has no such account" if found is None else ", ".join(f"{part} {found[part]:,}" for part in _PARTS)


def _entry(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "has no such entry"
    return (
        f"{found['amount']:+,} by {found['event_id']} at {found['posted_at']}, "
        f"debits {found['posted_debits']:,}, credits {found['posted_credits']:,}"
    )


def _hold(found: Mapping[str, Any] | None) -> str:
    return (
        "has no such hold"
        if found is None
        else f"hold {found['event_id']} {found['state']}, {found['left']:,} left"
    )


def report_page(report: Report, made_by: Sequence[tuple[str, str]] = ()) -> str:
    """Tell a replay as a page; `made_by` says of the run, by name, when it was, and whose."""
    facts = report.as_dict()
    source, proof = facts["source"], facts.get("proof")
    about = [
        *made_by,
        ("target", report.name or report.target),
        ("source", source["topic"] or source["file"] or source["kind"]),
        ("records", facts["records"]),
        ("seconds", facts["seconds"]),
        ("records a second", facts["records_s"]),
    ]
    points = [(float(seconds), float(count)) for seconds, count in facts["curve"]]
    changed = [
        (_name(each["after"]), *(f"{each['before'][part]:,} → {each['after'][part]:,}" for part in _PARTS))
        for each in facts.get("changed", ())
    ]
    return page(
        "Replay",
        [
            verdict(report.verdict, good=report.ok),
            table("What was replayed", ("", ""), about),
            table("Partitions", ("partition", "first offset", "last offset", "offsets"), _lanes(source)),
            bars("Events by outcome", facts["counts"]),
            bars("Refusals by reason", facts["reasons"]),
            curve("Records over time", points, "seconds", "records"),
            curve("Records a second", _rates(points), "seconds", "records a second"),
            *_proof_parts(proof, report.name or ""),
            *_comparison_parts(facts.get("comparison"), "live", report.name or ""),
            bars("Letters that stay open, by reason", facts.get("left_open", {})),
            table("What is no event", ("where", "why"), list(_not_events(report))),
            table("What would change", ("account", *_PARTS), changed),
            table(
                "Decided otherwise than the first time",
                ("tenant", "event", "was", "is"),
                [(each["tenant"], each["event"], each["was"], each["is"]) for each in facts["different"]],
            ),
            table(
                "Refused again, though not by the rules in this order of times",
                ("tenant", "event", "rules say"),
                [(each["tenant"], each["event"], each["rules_say"]) for each in facts["refused_unseen"]],
            ),
        ],
    )


def _lanes(source: Mapping[str, Any]) -> list[tuple[str, int, int | str, int]]:
    """Say what was replayed of each partition, if it was of a topic."""
    return [
        (partition, first, end - 1 if end > first else "none", end - first)
        for partition, (first, end) in source["lanes"].items()
        if source["topic"] is not None
    ]


def _proof_parts(proof: Mapping[str, Any] | None, name: str) -> Iterator[str]:
    if proof is None:
        return
    books = (("live", proof["expected"]), (name, proof["digest"]))
    # Two digests that are written as one, a slash between them.
    halves = [(at, *map(Code, digest.partition("/")[::2])) for at, digest in books]
    yield table("Digests", ("books", "from balances", "from entries and open holds"), halves)
    yield note(
        "Books with the same digest stand the same. The first is of the totals of every account and asset; the "
        "second is worked out from entries and open holds alone, and takes in of which events they are. The live "
        "books' were taken when the replay began."
    )


def _rates(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    pairs = pairwise(points)
    return [
        (after[0], (after[1] - before[1]) / (after[0] - before[0]))
        for before, after in pairs
        if after[0] > before[0]
    ]


def comparison_page(
    facts: Mapping[str, Any], left: str, right: str, made_by: Sequence[tuple[str, str]] = ()
) -> str:
    """Tell a comparison as a page; `made_by` says of the run, by name, when it was, and whose."""
    said = "The books are the same" if facts["same"] else f"{facts['count']:,} accounts differ"
    digests = [(left, Code(facts["left"]["digest"])), (right, Code(facts["right"]["digest"]))]
    return page(
        f"{left} and {right}",
        [
            verdict(said, good=facts["same"]),
            table("What was compared", ("", ""), [("left", left), ("right", right), *made_by]),
            table("Digests", ("books", "digest"), digests),
            *_comparison_parts(facts, left, right),
        ],
    )


def _comparison_parts(facts: Mapping[str, Any] | None, left: str, right: str) -> Iterator[str]:
    if facts is None:
        return
    tenants = sorted(facts["left"]["tenants"].keys() | facts["right"]["tenants"].keys())
    sides = [
        (each, *(Code(facts[at]["tenants"].get(each, "none")) for at in ("left", "right")))
        for each in tenants
    ]
    yield table(
        "Tenants that differ", ("tenant", left, right), [row for row in sides if row[1] != row[2]][:100]
    )
    yield table(
        "Accounts that differ",
        ("account", "in", left, right, "first entry", f"of {left}", f"of {right}"),
        [
            (
                _name(each),
                f"{', '.join(each['what'])} (by {each['view']})",
                _standing(each.get("left")),
                _standing(each.get("right")),
                each.get("entry"),
                _entry(each.get("left_entry")) if "entry" in each else _hold(each.get("left_hold")),
                _entry(each.get("right_entry")) if "entry" in each else _hold(each.get("right_hold")),
            )
            for each in facts["differences"]
        ],
    )
