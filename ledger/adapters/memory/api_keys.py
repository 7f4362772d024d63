"""Keys of the API in a dictionary."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from ledger.application.api_keys import ApiKey, KeyWish
from ledger.application.ports import Clock


class MemoryKeys:
    """A KeyStore and a KeyReader; `tenant_id_of` numbers tenants."""

    def __init__(self, tenant_id_of: Callable[[str], int], clock: Clock) -> None:
        self._tenant_id_of = tenant_id_of
        self._clock = clock
        self.kept: dict[str, ApiKey] = {}

    async def add(self, key_id: str, secret_hmac: bytes, wish: KeyWish, at: datetime, by: str) -> bool:
        if key_id in self.kept:
            return False
        self.kept[key_id] = ApiKey(
            key_id=key_id,
            tenant_id=self._tenant_id_of(wish.tenant),
            tenant=wish.tenant,
            name=wish.name,
            secret_hmac=secret_hmac,
            scopes=wish.scopes,
            created_at=at,
            created_by=by,
            expires_at=wish.expires_at,
        )
        return True

    async def find(self, tenant: str | None, key_id: str | None) -> Sequence[ApiKey]:
        found = [
            each
            for each in self.kept.values()
            if tenant in (None, each.tenant) and key_id in (None, each.key_id)
        ]
        return sorted(found, key=lambda each: (each.created_at, each.key_id))

    async def revoke(self, key_id: str, at: datetime) -> None:
        key = self.kept.get(key_id)
        if key is not None and key.revoked_at is None:
            self.kept[key_id] = msgspec.structs.replace(key, revoked_at=at)

    async def presented(self, key_id: str) -> ApiKey | None:
        return self.kept.get(key_id)

    async def used(self, key_id: str) -> None:
        self.kept[key_id] = msgspec.structs.replace(self.kept[key_id], last_used_at=self._clock.now())

    async def end_session(self, key_id: str, mark: str) -> None:
        key = self.kept[key_id]
        self.kept[key_id] = msgspec.structs.replace(key, ended_sessions=key.ended_sessions | {mark})
