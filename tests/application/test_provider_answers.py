"""Answers over HTTP and addresses: what they mean, and which are called."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ledger.adapters.provider.addresses import check_url, is_allowed
from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.provider.wire import Reply, encode_request, read_answer, read_status, retry_after_s
from ledger.application.providers import (
    Accepted,
    Declined,
    NotFound,
    Pending,
    RetryLater,
    Unknown,
    kind_of,
)
from tests.builders import NOW, event_id
from tests.provider import charge, refund

REQUEST = charge("k1")
SAID: dict[str, Any] = {
    "key": "k1",
    "amount": 1250,
    "asset": "USD/2",
    "state": "accepted",
    "reference": "ch_1",
}
REFUSED = {
    "key": "k1",
    "amount": 1250,
    "asset": "USD/2",
    "state": "declined",
    "reason": "poor",
    "detail": "no",
}


def reply(code: int, body: Any = None, retry_after: str | None = None) -> Reply:
    return Reply(code, retry_after, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_request_is_written_under_its_key_and_without_nulls() -> None:
    assert json.loads(encode_request(refund("k2", "ch_1"))) == {
        "key": "k2",
        "payment": event_id("payment-k2"),
        "tenant": "acme",
        "amount": 1250,
        "asset": "USD/2",
        "charge": "ch_1",
    }


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (reply(200, SAID), Accepted("ch_1")),
        (reply(200, {**SAID, "more": 1}), Accepted("ch_1")),
        (reply(422, REFUSED), Declined("poor", "no")),
        (reply(429), RetryLater("the provider answered 429")),
        (reply(429, retry_after="7"), RetryLater("the provider answered 429", 7.0)),
        (reply(503, retry_after="7"), RetryLater("the provider answered 503", 7.0)),
        (reply(401), RetryLater("the provider does not know us: 401", 30.0, counts=False)),
        (reply(202, {"key": "k1", "state": "pending"}), Unknown("the provider has not decided")),
    ],
)
def test_an_answer_means(given: Reply, answer: object) -> None:
    assert read_answer(given, REQUEST, NOW) == answer


ODD = [
    reply(200, b""),
    reply(200, b"\xff\xfe"),
    reply(200, b"[" * 50_000),
    reply(200, []),
    reply(200, {**SAID, "key": "k2"}),
    reply(200, {**SAID, "reference": ""}),
    reply(200, {**SAID, "reference": "a\0"}),
    reply(200, {**SAID, "reference": None}),
    reply(200, {**SAID, "amount": "1250"}),
    reply(200, {**SAID, "state": "ACCEPTED"}),
    reply(200, {**SAID, "state": "pending"}),
    reply(201, SAID),
    reply(204, b""),
    reply(302, SAID),
    reply(400, {"error": "shape"}),
    reply(404, b"no such page"),
    reply(409, {"error": "key_reused"}),
    reply(500, SAID),
    reply(502, b"<html>"),
    reply(503, {"error": "down"}),
    reply(503, retry_after="soon"),
    reply(202, {"key": "k2", "state": "pending"}),
    reply(202, SAID),
]


@pytest.mark.parametrize("given", ODD)
def test_whatever_is_odd_is_unknown(given: Reply) -> None:
    assert kind_of(read_answer(given, REQUEST, NOW)) == "unknown"
    assert kind_of(read_status(given, REQUEST, NOW)) == "unknown"


@pytest.mark.parametrize(
    "given",
    [
        reply(200, {**SAID, "amount": 1251}),
        reply(200, {**SAID, "asset": "EUR/2"}),
        reply(422, {**REFUSED, "amount": 1}),
        reply(422, SAID),
        reply(200, REFUSED),
        reply(404, {"key": "k1", "state": "not_found"}),
    ],
)
def test_an_answer_to_something_else_is_unknown(given: Reply) -> None:
    assert kind_of(read_answer(given, REQUEST, NOW)) == "unknown"


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (reply(200, SAID), Accepted("ch_1")),
        (reply(200, REFUSED), Declined("poor", "no")),
        (reply(202, {"key": "k1", "state": "pending"}), Pending()),
        (reply(404, {"key": "k1", "state": "not_found"}), NotFound()),
        (reply(429, retry_after="7"), RetryLater("the provider answered 429", 7.0)),
    ],
)
def test_a_status_means(given: Reply, answer: object) -> None:
    assert read_status(given, REQUEST, NOW) == answer


@pytest.mark.parametrize(
    "given",
    [
        reply(404, b"<h1>no such page</h1>"),
        reply(404, {"key": "k2", "state": "not_found"}),
        reply(404, {"key": "k1", "state": "pending"}),
        reply(410, {"key": "k1", "state": "not_found"}),
        reply(422, REFUSED),
        reply(200, {**SAID, "amount": 1251}),
        reply(200, {**SAID, "asset": "EUR/2"}),
    ],
)
def test_only_a_404_that_names_the_key_says_that_it_is_not_known(given: Reply) -> None:
    assert kind_of(read_status(given, REQUEST, NOW)) == "unknown"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("90", 90.0),
        ("9" * 400, 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Sat, 21 Nov 2026 10:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 10:01:30", 90.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2099 09:00:00 GMT", 86_400.0),
        ("Sat, 99 Nov 2026 09:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("10.9.0.7", True),
        ("::ffff:10.9.0.7", True),
    ],
)
def test_only_public_addresses_are_called_or_those_named(address: str, allowed: bool) -> None:
    assert is_allowed(ip_address(address), [ip_network("10.9.0.0/16")]) is allowed


@pytest.mark.parametrize(
    "url",
    [
        "http://pay.example",
        "ftp://pay.example",
        "https://other.example",
        "https://pay.example.evil.example",
        "https://user:word@pay.example",
        "https://pay.example?to=https://evil.example",
        "https://pay.example#there",
        "https://127.0.0.1",
        "https://[::1]",
        "https:///v1",
    ],
)
def test_a_url_must_be_on_the_list(url: str) -> None:
    with pytest.raises(ValueError, match=r"provider|list|address"):
        check_url(url, ["pay.example", "127.0.0.1", "::1"], [], plain_http=False)


@pytest.mark.parametrize(
    "place", ["pay.example:99999", "pay.example:abc", "pay.example:-1", "pay.example:0", "[::"]
)
def test_a_url_whose_place_is_none_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ort|IPv6"):
        check_url(f"https://{place}/v1", ["pay.example"], [], plain_http=False)


def test_a_url_on_the_list_is_called() -> None:
    check_url("https://Pay.example:8443/api", ["PAY.example"], [], plain_http=False)


def test_a_secret_is_not_shown() -> None:
    rules = ProviderRules(name="p", url="https://pay.example", secret=b"x" * 16, hosts=["pay.example"])
    assert "xxx" not in repr(rules)
    with pytest.raises(ValueError, match="16 bytes"):
        ProviderRules(name="p", url="https://pay.example", secret=b"x" * 15, hosts=["pay.example"])
