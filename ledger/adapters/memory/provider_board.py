"""Providers and breakers beside the books in memory, as readers see them."""

from collections.abc import Sequence
from datetime import datetime

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.provider_reading import BreakerTold, ProviderShown, origin


class MemoryProviderBoard:
    """A BreakerBoard and a ProviderReader; of one tenant, or of all."""

    def __init__(self, books: MemoryBooks, tenant: str | None = None) -> None:
        self._books = books
        self._tenant = tenant
        self.told: list[BreakerTold] = []

    async def tell(self, worker: str, breakers: Sequence[BreakerTold], forget_before: datetime) -> None:
        kept = [each for each in self.told if each.worker != worker and each.told_at >= forget_before]
        self.told = [*kept, *breakers]

    async def providers(self) -> Sequence[ProviderShown]:
        return [
            ProviderShown(
                tenant=tenant,
                name=name,
                url=origin(str(settings.get("url", ""))),
                when_down=str(settings.get("when_down", "wait")),
            )
            for (tenant, name), settings in sorted(self._books.contents.providers.items())
            if self._tenant in (None, tenant)
        ]

    async def breakers(self, since: datetime) -> Sequence[BreakerTold]:
        found = [each for each in self.told if each.told_at >= since and self._tenant in (None, each.tenant)]
        return sorted(found, key=lambda each: (each.tenant, each.provider, each.worker))
