"""Traces that begin where the demonstration sends its events, for the collector that LEDGER_TRACES_ENDPOINT names."""

import pytest

from ledger.config import Settings
from ledger.contract.decode import header_traceparent
from ledger.observability.traceparent import sampled
from streams.demo.mix import Sent
from streams.demo.tracing import TRACED_MAX, TracedSending
from tests.otlp import collecting

BATCH = [Sent(b"acme/ann", b"{}")] * (TRACED_MAX + 5)


def test_some_of_a_batch_are_marked_and_their_spans_are_collected() -> None:
    with collecting() as collector:
        settings = Settings(traces_endpoint=collector.url, traces_sample_share=1.0)
        with TracedSending.of(settings) as sending, sending.marked(BATCH) as records:
            marks = [sampled(header_traceparent(record.headers)) for record in records]
    traces = {mark.trace_id for mark in marks if mark is not None}
    assert (len(traces), marks.count(None)) == (TRACED_MAX, 5)
    assert {(span.service, span.name) for span in collector.spans} == {("ledger-demo", "send payments")}
    assert {span.trace_id for span in collector.spans} == traces


@pytest.mark.parametrize("given", [{"traces_sample_share": 1.0}, {"traces_endpoint": "http://127.0.0.1:1"}])
def test_nothing_is_marked_where_no_trace_is_kept(given: dict[str, object]) -> None:
    settings = Settings.model_validate({"traces_sample_share": 0.0} | given)
    with TracedSending.of(settings) as sending, sending.marked(BATCH) as records:
        assert [header_traceparent(record.headers) for record in records] == [None] * len(BATCH)
