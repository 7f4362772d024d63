"""Webhooks of providers over HTTP: who is believed, and who is told to come later."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import httpx
import msgspec
import pytest

from ledger.api.app import create_app
from ledger.api.problems import RateLimitedError
from ledger.api.quotas import RefusedSenders
from ledger.application.faults import LogAwayError
from ledger.application.payment_ports import SealError
from ledger.application.providers import Accepted
from ledger.application.receive_webhooks import ReceivedWebhook, ReceiveWebhooks
from ledger.contract.signature import sign
from tests.api.world import World, client_of
from tests.builders import event_id

SECRET = b"a secret of the tests"
WEBHOOK = {
    "id": "wh_1",
    "key": f"acme:{event_id('p')}:charge",
    "payment": event_id("p"),
    "tenant": "acme",
    "kind": "charge",
    "state": "accepted",
    "reference": "ch_1",
}


class Shared:
    """Secrets of one provider, and a log that remembers or is away."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, bytes]] = []
        self.asked: list[str] = []
        self.away = False

    async def secrets(self, tenant: str, provider: str) -> Sequence[bytes]:
        self.asked.append(tenant)
        return [SECRET] if (tenant, provider) == ("acme", "bank") else []

    async def keep(self, key: bytes, value: bytes) -> None:
        if self.away:
            raise LogAwayError("as told")
        self.kept.append((key, value))


async def told(
    shared: Shared,
    body: Any = WEBHOOK,
    *,
    provider: str = "bank",
    secret: bytes = SECRET,
    late_s: int = 0,
    world: World | None = None,
    senders: RefusedSenders | None = None,
) -> httpx.Response:
    world = world or World()
    content = json.dumps(body).encode()
    headers = sign(secret, "webhook", content, now_s=int(world.clock.now().timestamp()) - late_s)
    receive = ReceiveWebhooks(shared, shared, world.clock, world.signals)
    services = world.services(webhooks=receive, senders=senders)
    async with client_of(create_app(services)) as client:
        return await client.post(f"/v1/providers/{provider}/webhooks", content=content, headers=headers)


async def test_a_webhook_that_is_signed_is_kept() -> None:
    shared = Shared()
    assert (await told(shared)).json() == {"id": "wh_1"}
    ((key, value),) = shared.kept
    received = msgspec.json.decode(value, type=ReceivedWebhook)
    assert key == f"acme/{event_id('p')}".encode()
    assert (received.provider, received.webhook.answer) == ("bank", Accepted("ch_1"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": b"another secret that is long"},
        {"provider": "other"},
        {"body": {**WEBHOOK, "tenant": "rival"}},
        {"body": {**WEBHOOK, "tenant": "x" * 64}},
        {"body": ["nothing"]},
        {"late_s": 301},
    ],
    ids=str,
)
async def test_a_webhook_that_is_not_signed_by_its_provider_is_refused(wrong: dict[str, Any]) -> None:
    shared = Shared()
    refused = await told(shared, **wrong)
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_refused")
    assert shared.kept == []


async def test_a_webhook_that_is_none_is_told_so() -> None:
    shared = Shared()
    refused = await told(shared, {**WEBHOOK, "state": "perhaps"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert shared.kept == []


async def test_a_webhook_that_cannot_be_kept_is_told_again() -> None:
    shared = Shared()
    shared.away = True
    away = await told(shared)
    assert (away.status_code, away.headers["Retry-After"]) == (503, "2")


async def test_a_webhook_for_which_no_secret_can_be_read_is_refused_and_an_operator_told() -> None:
    shared, world = Shared(), World()

    async def sealed(tenant: str, provider: str) -> Sequence[bytes]:
        raise SealError("as told")

    shared.secrets = sealed  # type: ignore[method-assign]
    refused = await told(shared, world=world)
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_refused")
    assert "provider.misconfigured" in [name for name, _ in world.signals.emitted]


async def test_a_stranger_without_a_signature_costs_no_look_into_the_books() -> None:
    shared, world = Shared(), World()
    services = world.services(webhooks=ReceiveWebhooks(shared, shared, world.clock, world.signals))
    async with client_of(create_app(services)) as client:
        for headers in ({}, {"Ledger-Timestamp": "1", "Ledger-Signature": "v1=00"}):
            refused = await client.post("/v1/providers/bank/webhooks", json=WEBHOOK, headers=headers)
            assert refused.status_code == 401
    assert shared.asked == []


async def test_a_tenant_that_is_unknown_is_refused_in_the_same_words() -> None:
    answers = [
        (await told(Shared(), {**WEBHOOK, "tenant": tenant}, secret=b"another secret that is long")).json()
        for tenant in ("acme", "nobody")
    ]
    for answer in answers:
        assert answer.pop("correlation_id")
    assert answers[0] == answers[1]


async def test_nobody_is_believed_by_the_key_that_is_checked_for_nobody() -> None:
    refused = await told(Shared(), {**WEBHOOK, "tenant": "nobody"}, secret=b"0" * 16)
    assert refused.status_code == 401


async def test_a_body_that_no_webhook_has_is_not_read() -> None:
    refused = await told(Shared(), {**WEBHOOK, "more": "x" * 70_000})
    assert (refused.status_code, refused.headers["Connection"]) == (413, "close")


async def test_a_sender_who_is_refused_again_and_again_is_not_looked_at_for_a_while() -> None:
    shared, world = Shared(), World()
    senders = RefusedSenders(2, world.signals, lambda: world.monotonic)
    for _ in range(4):
        assert (await told(shared, secret=b"another secret that is long", senders=senders)).status_code == 401
    asked = len(shared.asked)
    refused = await told(shared, senders=senders)
    assert (refused.status_code, refused.headers["Retry-After"], len(shared.asked)) == (429, "1", asked)
    world.monotonic += 1
    assert (await told(shared, senders=senders)).status_code == 200


@pytest.mark.parametrize(
    ("sender", "other", "is_the_same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("192.0.2.7", "192.0.2.8", False),
        ("", "@file", False),
    ],
)
def test_senders_are_told_apart_by_what_they_cannot_choose(
    sender: str, other: str, *, is_the_same: bool
) -> None:
    senders = RefusedSenders(1, World().signals, lambda: 0.0)
    for _ in range(2):
        senders.refused(sender)
    with pytest.raises(RateLimitedError) if is_the_same else nullcontext():
        senders.admit(other)
    with pytest.raises(RateLimitedError):
        senders.admit(sender)
