"""The client over Kafka, without Kafka: what is told when a later part of many events cannot be sent."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.client import KafkaClient, UnavailableError, transfer
from ledger.client import kafka as client_module
from ledger.client.outcomes import Outcome

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


async def test_what_cannot_be_sent_tells_the_outcomes_of_what_was_sent_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came = Outcome(event_id="one", event_type="transfer.post.v1", status="posted", posted_at=NOW)
    parts: list[Sequence[Any]] = [[came]]

    async def sent(submissions: Sequence[Any], wait_s: float) -> Sequence[Any]:
        if not parts:
            raise UnavailableError("away")
        return parts.pop()

    async def listening() -> None: ...

    client = KafkaClient("127.0.0.1:9", "acme")
    monkeypatch.setattr(client, "_sent", sent)
    monkeypatch.setattr(client, "_until_listening", listening)
    monkeypatch.setattr(client_module, "EVENTS_AT_ONCE", 1)
    monkeypatch.setattr(client_module, "outcome_of", lambda notice: notice)
    monkeypatch.setattr(client_module, "outcome_from", lambda notice: notice)
    with pytest.raises(UnavailableError) as found:
        await client.outcomes_of([transfer("ann", "shoes", number, "USD/2") for number in (1, 2)])
    assert found.value.outcomes == {"one": came}
