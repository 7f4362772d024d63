"""Verify the audit chain against checkpoints kept elsewhere: they know it even if it was written anew since."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ledger.application.archive_ports import Objects
from ledger.application.chain import ChainSnapshot
from ledger.application.export_chain import IsSigned, checkpoint_names
from ledger.contract.checkpoints import (
    Checkpoint,
    DamagedCheckpointError,
    Part,
    decode_checkpoint,
    decode_links,
    decode_signed,
    hash_of_object,
)
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check
from ledger.domain.chain import Link

CHECKPOINTS_CHECK = "checkpoints"


class VerifyCheckpoints:
    """Compares one snapshot with every checkpoint, in bounded memory; changes nothing. Raises ObjectsAwayError."""

    def __init__(self, chain: ChainSnapshot, objects: Objects, is_signed: IsSigned) -> None:
        self._chain = chain
        self._objects = objects
        self._is_signed = is_signed
        self._violations: list[dict[str, Any]] = []
        self._checked = 0
        self._lost: set[str] = set()
        """Tenants of whose chain nothing more can be said: from a place on it is another."""
        self._written_anew: set[str] = set()
        self.newest: Checkpoint | None = None
        """The newest that is signed by a key that is trusted."""

    async def __call__(self) -> Check:
        names = await checkpoint_names(self._objects)
        previous: str | None = None
        for number in range(1, max(names, default=0) + 1):
            previous = await self._look_at(number, names.get(number), previous)
        if not names:
            self._add({"what": "there are no checkpoints"})
        return Check(CHECKPOINTS_CHECK, self._checked, self._violations)

    async def _look_at(self, number: int, name: str | None, previous: str | None) -> str | None:
        """Compare with one checkpoint; gives its hash, None where it cannot be known."""
        body, signature = b"", ""
        try:
            if name is not None:
                body, signature = decode_signed(await self._objects.get(name) or b"")
            checkpoint = decode_checkpoint(body) if name is not None else None
        except DamagedCheckpointError:
            self._add({"what": "the checkpoint cannot be read", "checkpoint": number})
            return None
        if checkpoint is None:
            self._add({"what": "the checkpoint is missing", "checkpoint": number})
            return None
        for what in self._faults(checkpoint, body, signature, number, previous):
            self._add({"what": what, "checkpoint": number})
        if self._is_signed(body, signature):
            self.newest = checkpoint
            for part in checkpoint.parts:
                await self._compare_part(number, part)
        return hash_of_object(body)

    def _faults(
        self, checkpoint: Checkpoint, body: bytes, signature: str, number: int, previous: str | None
    ) -> Iterator[str]:
        if not self._is_signed(body, signature):
            yield "the checkpoint is not signed by a key that is trusted"
        if checkpoint.number != number:
            yield "the checkpoint has another number than its name"
        if number == 1 and checkpoint.previous is not None:
            yield "the checkpoint does not follow on the one before"
        if previous is not None and checkpoint.previous != previous:
            yield "the checkpoint does not follow on the one before"

    async def _compare_part(self, number: int, part: Part) -> None:
        body = await self._objects.get(part.name)
        if body is None or hash_of_object(body) != part.hash:
            what = (
                "links of the checkpoint are missing"
                if body is None
                else "links of the checkpoint were changed"
            )
            self._add({"what": what, "checkpoint": number, "object": part.name})
            return
        try:
            links_of_all = decode_links(body)
        except DamagedCheckpointError:
            self._add(
                {"what": "links of the checkpoint cannot be read", "checkpoint": number, "object": part.name}
            )
            return
        for tenant, links in groupby(links_of_all, key=lambda link: link.tenant):
            await self._compare(number, tenant, list(links))

    async def _compare(self, checkpoint: int, tenant: str, exported: Sequence[Link]) -> None:
        self._checked += len(exported)
        found = await self._chain.links(tenant, exported[0].number - 1, len(exported))
        by_number = {link.number: link for link in found}
        for link in exported:
            if tenant in self._lost:
                return
            what = self._difference(link, by_number.get(link.number))
            if what is not None:
                facts = {"tenant": tenant, "number": link.number, "event": link.event_id}
                self._add({"what": what, **facts, "checkpoint": checkpoint})

    def _difference(self, exported: Link, link: Link | None) -> str | None:
        """Say how a link differs; of hashes only the first that does, for all after it do as well."""
        if link is None:
            self._lost.add(exported.tenant)
            return "the link is gone from here on"
        if link.event_id != exported.event_id:
            self._lost.add(exported.tenant)
            return "another transaction stands here"
        if link.digest != exported.digest:
            self._written_anew.add(exported.tenant)
            return "the transaction is not what was exported"
        if link != exported and exported.tenant not in self._written_anew:
            self._written_anew.add(exported.tenant)
            return "the link is not what was exported"
        return None

    def _add(self, violation: dict[str, Any]) -> None:
        if len(self._violations) < VIOLATIONS_SHOWN_MAX:
            self._violations.append(violation)
