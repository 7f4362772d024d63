"""Signatures: what is believed, and what is not."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.contract.signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WEBHOOK,
    SignatureRefusedError,
    sign,
    verify_signature,
)

OLD, NEW, OTHER = b"the secret of yesterday", b"the secret of today", b"a secret of others"
NOW_S = 1_795_250_000
BODY = b'{"key":"k1"}'


def fault(headers: dict[str, str], body: bytes = BODY, **more: object) -> str:
    """Give why a message is not believed, or `believed`."""
    given = {"secrets": [NEW, OLD], "now_s": NOW_S, "purpose": WEBHOOK, **more}
    try:
        verify_signature(headers=headers, body=body, **given)  # type: ignore[arg-type]
    except SignatureRefusedError as refused:
        return refused.fault
    return "believed"


def signed(secret: bytes = NEW, purpose: str = WEBHOOK, now_s: int = NOW_S) -> dict[str, str]:
    return sign(secret, purpose, BODY, now_s=now_s)


def test_a_signature_is_what_the_document_says() -> None:
    message = b"1795250000\nPOST /v1/charges\n" + BODY
    expected = hmac.new(NEW, message, hashlib.sha256).hexdigest()
    assert signed(purpose="POST /v1/charges") == {
        "Ledger-Timestamp": "1795250000",
        "Ledger-Signature": f"v1={expected}",
    }


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_each_active_secret_is_believed(secret: bytes) -> None:
    assert fault(signed(secret)) == "believed"


def test_any_of_several_signatures_will_do() -> None:
    both = {
        **signed(),
        SIGNATURE_HEADER: f"v0=00, {signed(OTHER)[SIGNATURE_HEADER]},{signed()[SIGNATURE_HEADER]}",
    }
    assert fault(both) == "believed"


def test_names_of_headers_are_known_in_any_case() -> None:
    assert fault({name.upper(): value for name, value in signed().items()}) == "believed"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (signed(OTHER), "wrong"),
        (signed(purpose="POST /v1/charges"), "wrong"),
        (signed() | {TIMESTAMP_HEADER: str(NOW_S + 1)}, "wrong"),
        (signed(now_s=NOW_S - 301), "stale"),
        (signed(now_s=NOW_S + 301), "stale"),
        (signed(now_s=NOW_S - 300), "believed"),
        ({TIMESTAMP_HEADER: str(NOW_S)}, "missing"),
        ({SIGNATURE_HEADER: "v1=00"}, "missing"),
        (signed() | {SIGNATURE_HEADER: ""}, "malformed"),
        (signed() | {SIGNATURE_HEADER: signed()[SIGNATURE_HEADER][3:]}, "malformed"),
        (signed() | {SIGNATURE_HEADER: "v1=é"}, "wrong"),
        (signed() | {SIGNATURE_HEADER: ",".join(["v1=00"] * 9)}, "malformed"),
        (signed() | {TIMESTAMP_HEADER: "-1"}, "malformed"),
        (signed() | {TIMESTAMP_HEADER: "١٧٩٥٢٥٠٠٠٠"}, "malformed"),
        (signed() | {TIMESTAMP_HEADER: "9" * 5000}, "malformed"),
    ],
)
def test_anything_else_is_not(headers: dict[str, str], why: str) -> None:
    assert fault(headers) == why


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_no_byte_of_a_body_can_be_changed(place: int, by: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ by]) + BODY[place + 1 :]
    assert fault(signed(), changed) == "wrong"


def test_without_a_secret_nothing_is_believed() -> None:
    assert fault(signed(), secrets=[]) == "wrong"


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        signed(b"short")
