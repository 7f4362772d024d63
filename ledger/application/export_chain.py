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
from ledger.domain.chain import Head, Link, first_head, follows

PART_LINKS = 20_000
PAGE_LINKS = 5000

Sign = Callable[[bytes], str]

IsSigned = Callable[[bytes, str], bool]
"""Whether a signature of these bytes is by a key that is trusted."""


class ChainChangedError(Exception):
    """The chain is not what the newest checkpoint says, or not what its own head or hashes say; no checkpoint was
    written."""


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
        await self._stand(heads)
        for tenant, exported in before.items():
            await self._agrees(exported, heads.get(tenant), number - 1)
        for tenant, head in heads.items():
            begin = _end_of(before[tenant]) if tenant in before else first_head(tenant)
            await self._gather(number, tenant, begin, head.number)
        await self._put_part(number)
        if not self._parts:
            return None
        ends = [TenantHead(tenant, head.number, head.hash.hex()) for tenant, head in heads.items()]
        checkpoint = Checkpoint(number, at, previous, ends, self._parts)
        await self._put(checkpoint)
        return checkpoint

    async def _stand(self, heads: Mapping[str, Head]) -> None:
        """Look whether each head is that of the last link there is."""
        for tenant in await self._chain.tenants():
            if tenant not in heads:
                raise ChainChangedError(f"the end of the chain of {tenant} is not known any more")
        for tenant, head in heads.items():
            found = await self._chain.links(tenant, max(0, head.number - 1), 2)
            ends = [link.head for link in found]
            if (ends or [first_head(tenant)]) != [head]:
                raise ChainChangedError(
                    f"the chain of {tenant} does not end as its head says, with link {head.number}"
                )

    async def _agrees(self, exported: TenantHead, head: Head | None, number: int) -> None:
        if head is None or await self._as_it_was(exported, head) != _end_of(exported):
            raise ChainChangedError(
                f"the chain of {exported.tenant} is not what checkpoint {number} says of its link {exported.number}"
            )

    async def _as_it_was(self, exported: TenantHead, head: Head) -> Head | None:
        """Give where the chain ended at the checkpoint, as the links have it now."""
        if exported.number in (0, head.number):
            return head if exported.number else first_head(exported.tenant)
        found = await self._chain.links(exported.tenant, exported.number - 1, 1)
        return found[0].head if found else None

    async def _gather(self, number: int, tenant: str, head: Head, end: int) -> None:
        while head.number < end:
            page = await self._chain.links(tenant, head.number, min(PAGE_LINKS, end - head.number))
            for link in page:
                if not follows(head, link):
                    raise _broken(tenant, head, link)
                head = link.head
            if not page:
                raise _broken(tenant, head, None)
            self._gathered += page
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


def _end_of(exported: TenantHead) -> Head:
    return Head(exported.number, bytes.fromhex(exported.hash))


def _broken(tenant: str, head: Head, link: Link | None) -> ChainChangedError:
    number = head.number + 1
    if link is None or link.number != number:
        return ChainChangedError(f"links of {tenant} are missing from {number} on")
    return ChainChangedError(f"link {number} of {tenant} does not follow on the one before, or was changed")


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
