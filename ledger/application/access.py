"""Who asks: the tenant and the scopes that a key of the API stands for."""

from datetime import datetime
from typing import Literal

import msgspec

Scope = Literal["read", "write", "admin"]


class Caller(msgspec.Struct, frozen=True):
    """A caller whose key was accepted. `admin` includes `write`, `write` includes `read`."""

    tenant_id: int
    tenant: str
    key_id: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    """When its key does; None: never."""
