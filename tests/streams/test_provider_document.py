"""The examples in docs/providers.md are signed as it says, and mean what it says."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.provider.wire import Reply, encode_request, read_answer, read_status
from ledger.application.provider_books import read_book_line
from ledger.application.provider_messages import decode_webhook
from ledger.application.providers import Accepted, ChargeRequest, RefundRequest, kind_of
from ledger.contract.signature import WEBHOOK, sign, verify_signature
from streams.embedded.provider.script import FORMS, Do, Rule, Script
from tests.architecture.tree import ROOT, blocks

PAGE = ROOT / "docs" / "providers.md"
SECRET = b"an example of a secret"
NOW_S = 1_795_250_000
PAYMENT = "01a1fd8c-6900-77dc-a235-639215ca5234"
CHARGE = ChargeRequest(
    idempotency_key=f"acme:{PAYMENT}:charge",
    payment=PAYMENT,
    tenant="acme",
    amount=1250,
    asset="USD/2",
    account="customer:ann",
    reference="order 7",
)
REFUND = RefundRequest(
    idempotency_key=f"acme:{PAYMENT}:refund",
    payment=PAYMENT,
    tenant="acme",
    amount=1250,
    asset="USD/2",
    charge="ch_9f2c",
)


@dataclass(frozen=True)
class Message:
    """An example: its first line, its headers, its body."""

    first: str
    headers: dict[str, str]
    body: bytes


def messages() -> list[Message]:
    found = []
    for block in blocks(PAGE, "http"):
        head, _, body = block.partition("\n\n")
        first, *headers = head.splitlines()
        named = dict(header.split(": ", 1) for header in headers)
        found.append(Message(first, named, body.strip().encode()))
    return found


def example(beginning: str) -> Message:
    """Give the one example whose first line begins so."""
    (found,) = [each for each in messages() if each.first.startswith(beginning)]
    return found


@pytest.mark.parametrize(
    ("beginning", "purpose"),
    [
        ("POST /v1/charges", None),
        ("POST /v1/refunds", None),
        ("GET /v1/operations", None),
        ("POST /v1/providers", WEBHOOK),
    ],
)
def test_an_example_is_signed_as_the_page_says(beginning: str, purpose: str | None) -> None:
    message = example(beginning)
    purpose = purpose or message.first.removesuffix(" HTTP/1.1")
    right = sign(SECRET, purpose, message.body, now_s=NOW_S)["Ledger-Signature"]
    assert message.headers["Ledger-Signature"] == right
    verify_signature([SECRET], message.headers, message.body, now_s=NOW_S, purpose=purpose)


@pytest.mark.parametrize(
    ("beginning", "request_"), [("POST /v1/charges", CHARGE), ("POST /v1/refunds", REFUND)]
)
def test_an_example_is_what_is_sent(beginning: str, request_: ChargeRequest | RefundRequest) -> None:
    message = example(beginning)
    assert message.body == encode_request(request_)
    assert message.headers["Idempotency-Key"] == request_.idempotency_key


@pytest.mark.parametrize(
    ("code", "kind"), [("200", "accepted"), ("422", "declined"), ("503", "retry_later"), ("404", "unknown")]
)
def test_an_answer_means_what_the_page_says(code: str, kind: str) -> None:
    message = example(f"HTTP/1.1 {code}")
    reply = Reply(int(code), message.headers.get("Retry-After"), message.body)
    now = datetime.fromtimestamp(NOW_S, UTC)
    assert kind_of(read_answer(reply, CHARGE, now)) == kind
    if code == "404":
        assert kind_of(read_status(reply, CHARGE, now)) == "not_found"


def test_the_webhook_answers_the_charge() -> None:
    webhook = decode_webhook(example("POST /v1/providers").body)
    assert (webhook.idempotency_key, webhook.answer) == (CHARGE.idempotency_key, Accepted("ch_9f2c"))


def test_the_script_can_be_followed() -> None:
    script = msgspec.json.decode(example("POST /script").body, type=Script)
    assert len(script.rules) == 7


def named(column: str) -> set[str]:
    """Give the words in code in the first column of the table with this heading."""
    found = re.search(rf"^\| {re.escape(column)} \|.*\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return {word for row in found[1].splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_way_to_misbehave_is_told() -> None:
    assert named("`do`") == set(Do.__args__)  # type: ignore[attr-defined]
    assert [form for form in FORMS if f"`{form}`" not in PAGE.read_text()] == []


def test_every_member_of_a_rule_is_told() -> None:
    text = PAGE.read_text()
    assert [name for name in Rule.__struct_fields__ if f"`{name}`" not in text] == []


def test_the_bounds_are_those_of_the_code() -> None:
    rules = ProviderRules(name="p", url="https://pay.example", secret=SECRET, hosts=["pay.example"])
    told = {
        "connecting": f"{rules.connect_timeout_s:g} s",
        "a call": f"{rules.total_timeout_s:g} s",
        "calls at a time": str(rules.slots),
        "answer": f"{rules.answer_bytes_max // 1024} KiB",
    }
    rows = dict(re.findall(r"^\| ([a-z ]+) \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
    assert {name: rows[name] for name in told} == told


def test_the_line_of_a_book_is_one() -> None:
    (line,) = blocks(PAGE, "jsonl")
    read = read_book_line(line.encode(), "the page")
    assert (read.key, read.amount, read.payment_id) == (CHARGE.idempotency_key, CHARGE.amount, PAYMENT)
