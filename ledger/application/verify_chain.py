"""Verify the audit chain: every link in its order, against the transaction that it vouches for."""

from collections.abc import Iterable
from typing import Any

import msgspec

from ledger.application.chain import ChainSnapshot
from ledger.application.verify_books import Progress
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check
from ledger.domain.chain import LinkFault, Walk

CHAIN_CHECK = "chain"
PAGE_LINKS = 1000


class VerifyChain:
    """Walks the chains of one snapshot in bounded memory; changes nothing."""

    def __init__(self, chain: ChainSnapshot, progress: Progress | None = None) -> None:
        self._chain = chain
        self._progress = progress or (lambda name, done, total: None)
        self._violations: list[dict[str, Any]] = []
        self._checked = 0

    async def __call__(self) -> Check:
        heads = await self._chain.heads()
        total = sum(head.number for head in heads.values())
        for tenant in sorted({*heads, *await self._chain.tenants()}):
            walk = Walk(tenant)
            await self._walk(tenant, walk, total)
            self._add(walk.end(heads.get(tenant)))
        await self._look_for_unlinked()
        return Check(CHAIN_CHECK, self._checked, self._violations)

    async def _walk(self, tenant: str, walk: Walk, total: int) -> None:
        after = 0
        while page := await self._chain.linked(tenant, after, PAGE_LINKS):
            for link, transaction in page:
                self._add(walk.look(link, transaction))
            after = page[-1].link.number
            self._checked += len(page)
            self._progress(CHAIN_CHECK, self._checked, max(total, self._checked))

    async def _look_for_unlinked(self) -> None:
        """Of what was posted so long ago, everything has its link, unless it was posted by nobody of ours."""
        before = await self._chain.complete_before()
        if before is None:
            return
        for tenant, event in await self._chain.unlinked(before, VIOLATIONS_SHOWN_MAX):
            self._add_one({"what": "the transaction has no link", "tenant": tenant, "event": event})

    def _add(self, faults: Iterable[LinkFault]) -> None:
        for fault in faults:
            facts: dict[str, Any] = msgspec.structs.asdict(fault)
            self._add_one({name: fact for name, fact in facts.items() if fact is not None})

    def _add_one(self, violation: dict[str, Any]) -> None:
        if len(self._violations) < VIOLATIONS_SHOWN_MAX:
            self._violations.append(violation)
