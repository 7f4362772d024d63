"""How commands name a provider: TENANT/NAME."""

import re
from typing import NamedTuple

from streams.cli.running import refuse

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class ProviderName(NamedTuple):
    """A provider of a tenant."""

    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"


def parse_provider(text: str) -> ProviderName:
    """Read a name, or refuse it."""
    parts = text.split("/")
    if len(parts) != 2 or not all(_NAME.fullmatch(part) for part in parts):
        refuse(f"{text!r} is no provider: TENANT/NAME, each of up to 63 of a-z, 0-9 and -.")
    return ProviderName(*parts)
