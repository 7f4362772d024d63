"""Receive webhooks of providers: checked, then handed to those who advance payments by a topic of their own."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ledger.application.payment_ports import SealError
from ledger.application.ports import Clock
from ledger.application.provider_messages import WEBHOOK_BYTES_MAX, Webhook, decode_webhook
from ledger.contract.outgoing import record_key
from ledger.contract.signature import SECRET_BYTES_MIN, check_presented, verify_signature
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals

_NOBODYS = b"0" * SECRET_BYTES_MIN
"""Who signs with it is not believed."""


class UnknownSenderError(Exception):
    """No tenant's provider of that name signed it."""


class ReceivedWebhook(msgspec.Struct, frozen=True):
    """A webhook that was believed, and the provider that it came from."""

    provider: str
    webhook: Webhook


class WebhookSecrets(Protocol):
    async def secrets(self, tenant: str, provider: str) -> Sequence[bytes]:
        """Read the secrets that a tenant shares with a provider; none where there is no such provider.

        May raise TransientFaultError, OverloadedError, SealError.
        """
        ...


class WebhookLog(Protocol):
    async def keep(self, key: bytes, value: bytes) -> None:
        """Write a record; returns when every in-sync replica has it. Raises LogAwayError."""
        ...


class _Sender(msgspec.Struct):
    tenant: str


class ReceiveWebhooks:
    """Nothing is done here but to believe and to keep: the same webhook may come any number of times."""

    def __init__(self, secrets: WebhookSecrets, log: WebhookLog, clock: Clock, signals: Signals) -> None:
        self._secrets = secrets
        self._log = log
        self._clock = clock
        self._signals = signals

    async def __call__(self, provider: str, headers: Mapping[str, str], body: bytes) -> Webhook:
        """Keep a webhook. The tenant is that of the body, whose secret must have signed it.

        Raises UnknownSenderError, SignatureRefusedError, MessageRefusedError, LogAwayError, TransientFaultError,
        OverloadedError.
        """
        now_s = self._clock.now().timestamp()
        # First what asks nobody: a stranger's message that cannot be believed costs no look into the books.
        check_presented(headers, now_s=now_s)
        secrets = await self._found(_tenant(body), provider)
        # Where there are none it is checked all the same: the time taken tells nobody who is a tenant here.
        verify_signature(secrets or [_NOBODYS], headers, body, now_s=now_s)
        if not secrets:
            raise UnknownSenderError("no provider of that name signed it")
        webhook = decode_webhook(body)
        value = msgspec.json.encode(ReceivedWebhook(provider, webhook))
        await self._log.keep(record_key(webhook.tenant, webhook.payment), value)
        crash_point("webhook_kept")
        return webhook

    async def _found(self, tenant: str, provider: str) -> Sequence[bytes]:
        try:
            return await self._secrets.secrets(tenant, provider)
        except SealError as fault:
            self._signals.emit("provider.misconfigured", tenant=tenant, provider=provider, fault=str(fault))
            return []


def _tenant(body: bytes) -> str:
    """Read who it claims to be for, which the signature then proves; any longer than a tenant's name is nobody."""
    if len(body) > WEBHOOK_BYTES_MAX:
        raise UnknownSenderError("larger than any webhook")
    try:
        tenant = msgspec.json.decode(body, type=_Sender).tenant
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise UnknownSenderError("no webhook") from fault
    if not 0 < len(tenant) <= 63 or not tenant.isascii() or not tenant.isprintable():
        raise UnknownSenderError("no tenant")
    return tenant
