"""What a network can do to a call, and where none is made."""

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.adapters.provider.http import open_provider
from ledger.application.providers import (
    RetryLater,
    Unknown,
    kind_of,
)
from tests.builders import HandClock
from tests.fakes import RememberedSignals
from tests.ports.providers.conftest import Opener
from tests.provider import Simulator, charge


def is_silent(rule: dict[str, Any]) -> bool:
    """Whether no answer comes in time."""
    return rule["do"] == "hang" or float(rule.get("delay_s", 0)) > 1


@pytest.mark.parametrize(
    ("rule", "kind", "then"),
    [
        ({"do": "error", "code": 500}, "unknown", "not_found"),
        ({"do": "error", "code": 502, "booked": True}, "unknown", "accepted"),
        ({"do": "error", "code": 400}, "unknown", "not_found"),
        ({"do": "error", "code": 404}, "unknown", "not_found"),
        ({"do": "error", "code": 503}, "unknown", "not_found"),
        ({"do": "error", "code": 403}, "retry_later", "not_found"),
        ({"do": "throttle"}, "retry_later", "not_found"),
        ({"do": "throttle", "retry_after_s": 60, "retry_after_date": True}, "retry_later", "not_found"),
        ({"do": "unavailable", "retry_after_s": 2}, "retry_later", "not_found"),
        ({"do": "reset"}, "unknown", "not_found"),
        ({"do": "reset", "booked": True}, "unknown", "accepted"),
        ({"do": "hang"}, "unknown", "not_found"),
        ({"do": "hang", "booked": True}, "unknown", "accepted"),
        ({"do": "accept", "delay_s": 5}, "unknown", "accepted"),
        ({"do": "accept", "delay_s": 0.05}, "accepted", "accepted"),
        ({"do": "redirect"}, "unknown", "not_found"),
        ({"do": "redirect", "booked": True}, "unknown", "accepted"),
        ({"do": "refuse"}, "declined", "not_found"),
        *(
            ({"do": "malformed", "form": form, "booked": True}, "unknown", "accepted")
            for form in (
                *(
                    "empty",
                    "text",
                    "list",
                    "deep",
                    "other_key",
                    "other_amount",
                    "no_reference",
                    "cut",
                    "huge",
                ),
            )
        ),
    ],
    ids=lambda given: "-".join(map(str, given.values())) if isinstance(given, dict) else None,
)
async def test_each_behaviour_has_its_answer(
    opened: Opener, tenant: str, rule: dict[str, Any], kind: str, then: str
) -> None:
    await opened.simulator.follow(rule)
    provider = await opened(total_timeout_s=0.3 if is_silent(rule) else 5.0)
    answer = await provider.charge(charge(f"{tenant}-a", tenant))
    found = await (await opened()).status(charge(f"{tenant}-a", tenant))
    assert (kind_of(answer), kind_of(found)) == (kind, then)
    assert opened.answers() == [kind, then]


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"do": "error"}, "unknown"),
        ({"do": "hang"}, "unknown"),
        ({"do": "reset"}, "unknown"),
        ({"do": "malformed", "form": "other_key"}, "unknown"),
        ({"do": "malformed", "form": "other_amount"}, "unknown"),
        ({"do": "malformed", "form": "text"}, "unknown"),
        ({"do": "redirect"}, "unknown"),
        ({"do": "pend"}, "pending"),
        ({"do": "unavailable", "retry_after_s": 1}, "retry_later"),
    ],
    ids=lambda given: "-".join(map(str, given.values())) if isinstance(given, dict) else None,
)
async def test_a_status_that_fails_tells_nothing(
    opened: Opener, tenant: str, rule: dict[str, Any], kind: str
) -> None:
    await opened.simulator.follow({**rule, "on": ["status"]})
    await (await opened()).charge(charge(f"{tenant}-a", tenant))
    provider = await opened(total_timeout_s=0.3 if is_silent(rule) else 5.0)
    assert kind_of(await provider.status(charge(f"{tenant}-a", tenant))) == kind


async def test_retry_after_is_handed_on(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "unavailable", "retry_after_s": 60, "retry_after_date": True})
    provider = await opened()
    answer = await provider.charge(charge(f"{tenant}-a", tenant))
    assert isinstance(answer, RetryLater)
    assert answer.after_s is not None
    assert 57 < answer.after_s <= 61


async def test_a_refused_connection_did_nothing(opened: Opener, tenant: str, unused_port: int) -> None:
    provider = await opened(url=f"http://127.0.0.1:{unused_port}")
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"


def unvouched(directory: Path) -> ssl.SSLContext:
    """Make a certificate that signs itself, for 127.0.0.1."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server over TLS; gives its port, and what it was sent."""
    sent = list[bytes]()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], sent


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate has to be made")
async def test_a_certificate_that_nobody_vouches_for_is_sent_nothing(
    opened: Opener, tenant: str, tmp_path: Path
) -> None:
    async with tls_server(unvouched(tmp_path)) as (port, sent):
        provider = await opened(url=f"https://127.0.0.1:{port}")
        answer = await provider.charge(charge(f"{tenant}-a", tenant))
        assert answer == RetryLater("ClientConnectorCertificateError")
        assert sent == []


async def test_a_key_may_hold_what_keys_hold(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider, key = await opened(), f"{tenant}:01a1fd8c-6900_77.dc:charge"
    assert await provider.charge(charge(key, tenant)) == await provider.status(charge(key, tenant))
    assert [line["key"] for line in await opened.simulator.lines(tenant)] == [key]


async def test_a_name_that_leads_into_our_own_network_is_not_called(opened: Opener, tenant: str) -> None:
    url = f"http://localhost:{opened.simulator.port}"
    provider = await opened(url=url, hosts=["localhost"], networks=())
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"
    assert await opened.simulator.lines(tenant) == []


async def test_a_name_is_called_where_its_network_is_named(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider = await opened(url=f"http://localhost:{opened.simulator.port}", hosts=["localhost"])
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "accepted"


async def test_a_wrong_secret_is_told_and_moves_nothing(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider = await opened(secret=b"another secret of tests")
    assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"
    assert (
        "provider.refused_us",
        {"tenant": "acme", "provider": "simulated", "code": 401},
    ) in opened.signals.emitted
    assert await opened.simulator.lines(tenant) == []


async def test_a_clock_that_is_off_is_not_believed(simulator: Simulator, tenant: str) -> None:
    await simulator.follow()
    clock = HandClock(datetime.now(UTC) - timedelta(hours=1))
    opening = open_provider(simulator.rules(), clock, time.monotonic, RememberedSignals())
    async with opening as provider:
        assert kind_of(await provider.charge(charge(f"{tenant}-a", tenant))) == "retry_later"


async def test_secrets_and_bodies_are_in_no_signal(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow()
    provider = await opened()
    await provider.charge(charge(f"{tenant}-a", tenant, account="customer:private"))
    (facts,) = [facts for _, facts in opened.signals.emitted]
    assert facts.keys() == {"tenant", "provider", "call", "answer", "seconds"}


async def test_a_reset_is_told_as_what_it_was(opened: Opener, tenant: str) -> None:
    await opened.simulator.follow({"do": "reset"})
    answer = await (await opened()).charge(charge(f"{tenant}-a", tenant))
    assert answer == Unknown("ClientOSError")
