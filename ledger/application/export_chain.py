"""Export the audit chain: a signed checkpoint, with the links since the one before, to where no superuser reaches."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ledger.application.archive_ports import Objects
from ledger.application.chain import ChainSnapshot
from ledger.contract.checkpoints import (
    Checkpoint,
    DamagedCheckpointError,
    Part,
    TenantHead,
    checkpoint_name,
    checkpoint_number,
    decode_checkpoint,
    decode_signed,
    encode_checkpoint,
    encode_links,
    encode_signed,
    hash_of_object,
    part_name,
)
from ledger.domain.chain import Head, Link

PART_LINKS = 20_000
PAGE_LINKS = 5000

Sign = Callable[[bytes], str]

IsSigned = Callable[[bytes, str], bool]
"""Whether a signature of these bytes is by a key that is trusted."""


class ChainChangedError(Exception):
    """The chain is not any more what an earlier checkpoint says; nothing was written."""


class UntrustedCheckpointError(Exception):
    """Nobody who is trusted signed the newest checkpoint; nothing was written."""


class ExportBesideError(Exception):
    """Another export wrote the same checkpoint at the same time."""


class ExportChain:
    """Writes one checkpoint of one snapshot, in bounded memory; raises ObjectsAwayError."""

    def __init__(self, chain: ChainSnapshot, objects: Objects, sign: Sign, is_signed: IsSigned) -> None:
        self._chain = chain
        self._objects = objects
        self._sign = sign
        self._is_signed = is_signed
        self._gathered: list[Link] = []
        self._parts: list[Part] = []

    async def __call__(self, at: datetime) -> Checkpoint | None:
        """Write a checkpoint and give it; None where no chain has grown since the one before.

        Raises ChainChangedError, ExportBesideError, DamagedCheckpointError for a newest one that is none, and
        UntrustedCheckpointError.
        """
        newest, previous = await newest_checkpoint(self._objects, self._is_signed)
        number = 1 if newest is None else newest.number + 1
        before = {each.tenant: each for each in newest.heads} if newest else {}
        heads = await self._chain.heads()
        for tenant, head in before.items():
            await self._agrees(head, heads.get(tenant), number - 1)
        for tenant, grown in heads.items():
            await self._gather(number, tenant, before[tenant].number if tenant in before else 0, grown.number)
        await self._put_part(number)
        if not self._parts:
            return None
        ends = [TenantHead(tenant, head.number, head.hash.hex()) for tenant, head in heads.items()]
        checkpoint = Checkpoint(number, at, previous, ends, self._parts)
        await self._put(checkpoint)
        return checkpoint

    async def _agrees(self, exported: TenantHead, head: Head | None, number: int) -> None:
        found = await self._chain.links(exported.tenant, exported.number - 1, 1) if exported.number else ()
        if head is None or (exported.number and (not found or found[0].hash.hex() != exported.hash)):
            raise ChainChangedError(
                f"the chain of {exported.tenant} is not what checkpoint {number} says of its link {exported.number}"
            )

    async def _gather(self, number: int, tenant: str, after: int, end: int) -> None:
        while after < end:
            page = await self._chain.links(tenant, after, min(PAGE_LINKS, end - after))
            if not page or [link.number for link in page] != list(range(after + 1, after + 1 + len(page))):
                raise ChainChangedError(f"links of {tenant} are missing from {after + 1} on")
            self._gathered += page
            after = page[-1].number
            if len(self._gathered) >= PART_LINKS:
                await self._put_part(number)

    async def _put_part(self, number: int) -> None:
        if self._gathered:
            body = encode_links(self._gathered)
            name = part_name(number, body)
            await self._objects.put_new(name, body)
            self._parts.append(Part(name, len(self._gathered), hash_of_object(body)))
            self._gathered = []

    async def _put(self, checkpoint: Checkpoint) -> None:
        body = encode_checkpoint(checkpoint)
        signed = encode_signed(body, self._sign(body))
        if not await self._objects.put_new(checkpoint_name(checkpoint.number), signed):
            raise ExportBesideError(f"checkpoint {checkpoint.number} was written by another export meanwhile")


async def checkpoint_names(objects: Objects) -> Mapping[int, str]:
    """Name the checkpoints that are there, by their numbers, in order."""
    found = ((checkpoint_number(each.name), each.name) for each in await objects.names("checkpoints/"))
    return dict(sorted((number, name) for number, name in found if number is not None))


async def newest_checkpoint(objects: Objects, is_signed: IsSigned) -> tuple[Checkpoint | None, str | None]:
    """Read the newest checkpoint, and give its hash; raises DamagedCheckpointError and UntrustedCheckpointError."""
    names = await checkpoint_names(objects)
    if not names:
        return None, None
    newest = max(names)
    body, signature = decode_signed(await objects.get(names[newest]) or b"")
    if not is_signed(body, signature):
        raise UntrustedCheckpointError(f"checkpoint {newest} is not signed by a key that is trusted")
    checkpoint = decode_checkpoint(body)
    if checkpoint.number != newest:
        raise DamagedCheckpointError(f"checkpoint {newest} says that it is {checkpoint.number}")
    return checkpoint, hash_of_object(body)
