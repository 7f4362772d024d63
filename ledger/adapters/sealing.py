"""Secrets of providers, sealed before they are kept: who reads the tables, or a backup of them, has none."""

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ledger.application.payment_ports import SealError

KEY_BYTES = 32


class _Sealed(msgspec.Struct, frozen=True):
    """What is inside. Its place is sealed with it: a seal that was copied to another row does not open there."""

    tenant: str
    provider: str
    secrets: list[str]


class Seals:
    """Seals with the first key, and opens with any, so that a key can be changed.

    Raises ValueError for a key that is not 32 bytes in URL-safe base64, and SealError without keys.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([_fernet(key) for key in keys]) if keys else None

    def seal(self, tenant: str, provider: str, secrets: Sequence[str]) -> str:
        """Seal the secrets of one provider; raises SealError without keys."""
        inside = msgspec.json.encode(_Sealed(tenant, provider, list(secrets)))
        return self._with_keys().encrypt(inside).decode()

    def open(self, tenant: str, provider: str, sealed: str) -> list[str]:
        """Open what was sealed for this provider; raises SealError for anything else."""
        try:
            found = msgspec.json.decode(self._with_keys().decrypt(sealed), type=_Sealed)
        except InvalidToken as fault:
            raise SealError("its secrets were sealed with none of the keys in LEDGER_SEALING_KEYS") from fault
        if (found.tenant, found.provider) != (tenant, provider):
            raise SealError("its secrets were sealed for another provider")
        return found.secrets

    def _with_keys(self) -> MultiFernet:
        if self._fernet is None:
            raise SealError("LEDGER_SEALING_KEYS is not set, so its secrets can be neither kept nor read")
        return self._fernet


def _fernet(key: str) -> Fernet:
    padded = key.rstrip("=") + "="
    read = b""
    with suppress(ValueError):
        read = urlsafe_b64decode(padded)
    if len(read) != KEY_BYTES:
        raise ValueError(f"a sealing key is {KEY_BYTES} bytes in URL-safe base64")
    return Fernet(padded)
