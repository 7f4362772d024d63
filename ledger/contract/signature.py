"""Signatures between the ledger and providers: HMAC-SHA-256 over time, purpose and raw body."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from enum import StrEnum

TIMESTAMP_HEADER = "Ledger-Timestamp"
SIGNATURE_HEADER = "Ledger-Signature"
WEBHOOK = "webhook"
"""The purpose of a webhook. That of a request is its method and its target: `POST /v1/charges`."""

TOLERANCE_S = 300
"""How far apart the two clocks may be, and for how long a message can be replayed."""
SECRET_BYTES_MIN = 16
_SIGNATURES_MAX = 8
_SCHEME = "v1="


class SignatureFault(StrEnum):
    """Why a message is not believed."""

    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    WRONG = "wrong"


class SignatureRefusedError(Exception):
    """The message is not from who shares the secret, or not from now; `fault` says which."""

    def __init__(self, fault: SignatureFault) -> None:
        super().__init__(f"the signature is {fault}")
        self.fault = fault


def sign(secret: bytes, purpose: str, body: bytes, *, now_s: int) -> dict[str, str]:
    """Give the headers that sign a message at a time, in whole seconds since 1970.

    Raises ValueError for a secret of less than SECRET_BYTES_MIN bytes.
    """
    stamp = str(now_s)
    return {TIMESTAMP_HEADER: stamp, SIGNATURE_HEADER: _SCHEME + _digest(secret, stamp, purpose, body)}


def verify_signature(
    secrets: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
    purpose: str = WEBHOOK,
) -> None:
    """Raise SignatureRefusedError unless one of the active secrets signed this very message around now.

    It takes as long for a wrong signature as for a right one. A message can be replayed within the tolerance:
    who handles it must not mind. Raises ValueError for a secret that is too short.
    """
    stamp, signatures = _presented(headers)
    expected = [_digest(secret, stamp, purpose, body).encode() for secret in secrets]
    # Every pair is compared, so that the time taken does not tell which of them fits.
    if not sum(hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures):
        raise SignatureRefusedError(SignatureFault.WRONG)
    _check_time(stamp, now_s, tolerance_s)


def check_presented(headers: Mapping[str, str], *, now_s: float, tolerance_s: float = TOLERANCE_S) -> None:
    """Raise SignatureRefusedError where no secret could make a message believed: it costs next to nothing."""
    stamp, _ = _presented(headers)
    _check_time(stamp, now_s, tolerance_s)


def _presented(headers: Mapping[str, str]) -> tuple[str, list[bytes]]:
    named = {name.lower(): value for name, value in headers.items()}
    stamp, given = named.get(TIMESTAMP_HEADER.lower()), named.get(SIGNATURE_HEADER.lower())
    if stamp is None or given is None:
        raise SignatureRefusedError(SignatureFault.MISSING)
    signatures = _signatures(given)
    if not signatures or not _is_time(stamp):
        raise SignatureRefusedError(SignatureFault.MALFORMED)
    return stamp, signatures


def _check_time(stamp: str, now_s: float, tolerance_s: float) -> None:
    if not abs(now_s - int(stamp)) <= tolerance_s:
        raise SignatureRefusedError(SignatureFault.STALE)


def _digest(secret: bytes, stamp: str, purpose: str, body: bytes) -> str:
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"a secret has at least {SECRET_BYTES_MIN} bytes")
    return hmac.new(secret, f"{stamp}\n{purpose}\n".encode() + body, hashlib.sha256).hexdigest()


def _signatures(given: str) -> list[bytes]:
    """The signatures of our scheme; others may stand beside them. None of more than a few."""
    parts = [part.strip() for part in given.split(",")]
    if len(parts) > _SIGNATURES_MAX:
        return []
    return [part.removeprefix(_SCHEME).encode() for part in parts if part.startswith(_SCHEME)]


def _is_time(stamp: str) -> bool:
    return stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12
