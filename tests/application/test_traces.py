"""What traces make of signals, and that they cost nothing where they are off."""

import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ledger.config import Settings
from ledger.domain.outcome import Outcome
from ledger.observability.signals import Signals
from ledger.observability.spans import Span
from ledger.observability.traceparent import as_given, begin, called_from, read, sampled
from ledger.observability.traces import EVENTS_A_BATCH_MAX, Traces
from ledger.observability.tracing import Requests, calls_of, traces_of
from tests.builders import event

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
TEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class ListSpans:
    """Spans in a list."""

    def __init__(self) -> None:
        self.all: list[Span] = []

    def add(self, span: Span) -> None:
        self.all.append(span)

    def names(self) -> list[str]:
        return [each.name for each in self.all]


def traced(name: str, facts: dict[str, Any], *, share: float = 0.0, chance: float = 0.5) -> ListSpans:
    spans = ListSpans()
    Traces(spans, share=share, chance=lambda: chance, now=AT.timestamp)(name, facts)
    return spans


def handled(*traceparents: str | None) -> dict[str, Any]:
    """Facts of a chunk whose events stand so in traces."""
    base = event()
    events = [
        msgspec.structs.replace(base, traceparent=each, topic="payments", partition=3, offset=number)
        for number, each in enumerate(traceparents)
    ]
    taken = [
        SimpleNamespace(offset=each.offset, timestamp=int(AT.timestamp() * 1000) - 70) for each in events
    ]
    return {
        "partition": 3,
        "records": len(events),
        "outcomes": [Outcome(each, "posted", AT) for each in events],
        "letters": [],
        "taken": taken,
        "begun_at": AT,
        "steps_s": {"decode": 1.0, "post": 2.0, "publish": 4.0},
    }


def test_an_event_has_its_own_spans_in_its_own_trace() -> None:
    spans = traced("chunk.handled", handled(TEXT))
    own = [each for each in spans.all if each.context.trace_id == TEXT.split("-")[1]]
    assert [each.name for each in own] == [
        "payments in Kafka",
        "post transfer.post.v1",
        "commit",
        "publish entries",
    ]
    kafka, post, commit, publish = own
    began = AT.timestamp()
    assert [kafka.begun_s, kafka.ended_s] == pytest.approx([began - 0.07, began])
    assert [(each.begun_s - began, each.ended_s - began) for each in (post, commit, publish)] == [
        (0, 7),
        (1, 3),
        (3, 7),
    ]
    assert {each.parent for each in (kafka, post)} == {read(TEXT)}
    assert {each.parent for each in (commit, publish)} == {post.context}


def test_a_batch_is_a_trace_of_its_own_with_links_both_ways() -> None:
    spans = traced("chunk.handled", handled(TEXT, None, TEXT.replace("01", "00", 1)))
    [batch] = [each for each in spans.all if each.name == "batch"]
    posts = [each for each in spans.all if each.name.startswith("post ")]
    assert batch.parent is None
    assert batch.links == [read(TEXT)]
    assert [each.links for each in posts] == [[batch.context]]


def test_a_large_batch_costs_no_more_than_a_small_one() -> None:
    facts = handled(*[TEXT] * 3000)
    assert len(traced("chunk.handled", facts).all) == 4 + 4 * EVENTS_A_BATCH_MAX


@pytest.mark.parametrize(("share", "names"), [(0.0, []), (1.0, ["batch", "decode", "post", "publish"])])
def test_of_batches_in_no_trace_a_share_is_kept(share: float, names: list[str]) -> None:
    unkept = TEXT[:-2] + "00"
    assert traced("chunk.handled", handled(unkept, None), share=share).names() == names


def test_entries_come_to_windows_in_the_trace_of_their_event() -> None:
    values = [
        f'{{"traceparent":"{TEXT}"}}'.encode(),
        b'{"traceparent":"x"}',
        b'{"traceparent":"',
        b"{}",
        None,
    ]
    taken = [
        SimpleNamespace(topic="ledger.entries", partition=0, offset=number, key=b"acme/ann", value=value)
        for number, value in enumerate(values)
    ]
    spans = traced("entries.merged", {"taken": taken, "at": AT, "seconds": 0.5})
    assert [(each.name, each.parent) for each in spans.all] == [("merge into windows", read(TEXT))]


def test_what_a_listener_finds_odd_breaks_nothing() -> None:
    Signals(Traces(ListSpans(), share=1, chance=lambda: 0, now=AT.timestamp)).emit("chunk.handled")


# Contexts


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00-1-2-01",
        TEXT.upper(),
        TEXT + "-x",
        "ff" + TEXT[2:],
        TEXT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        TEXT.replace("b7ad6b7169203331", "0" * 16),
    ],
)
def test_what_is_no_traceparent_is_none(text: str | None) -> None:
    assert read(text) is None
    assert as_given(text) is None


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    assert read("01" + TEXT[2:] + "-more") == read(TEXT)


def test_a_call_is_a_child_where_the_trace_is_kept() -> None:
    call, unkept = sampled(called_from(TEXT)), TEXT[:-2] + "00"
    assert call is not None
    assert (call.trace_id, call.span_id == read(TEXT)[1]) == (TEXT.split("-")[1], False)  # type: ignore[index]
    assert called_from(unkept) == unkept


def test_requests_follow_their_callers_and_begin_a_share_themselves() -> None:
    requests = Requests(0.1, lambda: 0.05)
    parent = begin(is_sampled=False)
    assert requests.begun(parent)[::2] == (parent.trace_id, False)
    assert [requests.begun(None).is_sampled, Requests(0.01, lambda: 0.05).begun(None).is_sampled] == [
        True,
        False,
    ]


# Off


def test_off_nobody_listens_and_what_was_given_goes_on() -> None:
    settings, signals = Settings(), Signals()
    with traces_of(settings, "tests", signals):
        assert signals._listeners == []
    assert Requests.of(settings) is None
    assert calls_of(settings)(TEXT) == TEXT


def test_off_what_makes_and_sends_spans_is_not_imported() -> None:
    """Other libraries import OpenTelemetry's interface, and its metrics, where they find them."""
    program = (
        "import sys, streams.cli.worker, streams.cli.api, streams.advancing, streams.app; "
        "import streams.chaining, streams.rolling; "
        "sys.exit([name for name in sys.modules if name.startswith("
        "('ledger.observability.otlp', 'opentelemetry.sdk.trace', 'opentelemetry.exporter'))] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
