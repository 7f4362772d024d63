"""The settings of a provider as they are stored for a tenant."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ledger.adapters.provider.rules import ProviderRules


class SettingsRefusedError(ValueError):
    """What is stored is not how a provider is called; the message tells where."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tenant's provider is called; see docs/providers.md. Times in seconds."""

    url: str
    secrets: list[str]
    """Shared with the provider. The first signs requests; webhooks may be signed with any."""
    hosts: list[str]
    networks: list[str] = []
    plain_http: bool = False
    when_down: Literal["wait", "decline"] = "wait"
    """While its breaker is open: payments that it was not asked about wait for it, or are declined."""
    connect_timeout_s: float = 2.0
    total_timeout_s: float = 10.0
    slots: int = 32

    def __repr__(self) -> str:
        """Tell where it is; the secrets stand nowhere but here."""
        return f"ProviderSettings({self.url!r})"

    def rules(self, name: str, tenant: str = "") -> ProviderRules:
        """Give the rules for calling it; raises ValueError for an address that may not be called."""
        return ProviderRules(
            name=name,
            tenant=tenant,
            url=self.url,
            secret=self.secrets[0].encode() if self.secrets else b"",
            hosts=self.hosts,
            networks=self.networks,
            plain_http=self.plain_http,
            connect_timeout_s=self.connect_timeout_s,
            total_timeout_s=self.total_timeout_s,
            slots=self.slots,
        )


def read_settings(stored: Mapping[str, Any]) -> ProviderSettings:
    """Read what is stored; raises SettingsRefusedError."""
    try:
        return msgspec.convert(dict(stored), ProviderSettings)
    except msgspec.ValidationError as fault:
        raise SettingsRefusedError(str(fault)) from fault
