"""The windows workers' group against the topic of entries, and their changelog."""

from collections.abc import Iterator, Mapping

from streams.doctor.finding import Finding, Level, counted, fine, judged

Bounds = Mapping[int, tuple[int, int]]

NOBODY = "No worker is at work: start `ledger worker roll-windows`. Until then the database answers readers."
LOST = "Stop the windows workers, and `ledger reset windows` makes the changelog anew from the books."


def windows_findings(
    committed: Mapping[int, int], members: int, entries: Bounds, changelog: Bounds
) -> Iterator[Finding]:
    """Judge them; `committed` is the group's position on the entries, by partition."""
    if not committed and not members:
        detail = "no windows worker has run: what readers ask of the stream, the database answers"
        yield Finding("windows", Level.INFORMATION, detail)
        return
    if any(committed.values()) and not any(end for _, end in changelog.values()):
        yield judged("windows", "entries were rolled into windows, and their changelog is empty", wrong=LOST)
        return
    lag = sum(max(0, end - committed.get(partition, first)) for partition, (first, end) in entries.items())
    detail = f"{lag:,} entries wait; {counted(members, 'worker')} at work"
    if lag and not members:
        yield judged("windows", detail, warning=NOBODY)
    else:
        yield fine("windows", detail)
