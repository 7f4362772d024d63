"""What strangers write, and rows that nobody can read, stop neither claims nor what is heard."""

from typing import Any, cast

import pytest

from streams.agents.hear_webhooks import HearWebhooks
from streams.patience import Patience
from tests.builders import event_id
from tests.fakes import RememberedSignals
from tests.ports.payments import Office
from tests.streams.test_hear_webhooks import chunk, webhook


@pytest.mark.parametrize("form", ["{%s}", "urn:uuid:%s", "%s-", "a\0%s"])
async def test_no_id_that_a_stranger_writes_reaches_the_books(postgres_office: Office, form: str) -> None:
    signals = RememberedSignals()
    hear = HearWebhooks(cast(Any, None), postgres_office.store, signals, Patience())
    await hear(chunk(webhook(form % event_id("p"), key="k"), webhook(event_id("p"), tenant="a\0b", key="k")))
    assert signals.names().count("webhook.not_heard") == 2
