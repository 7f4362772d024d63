"""Checkpoints of the audit chain: whoever writes the chain anew, or touches a checkpoint, is found at the place."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.chain import MemoryChain, MemoryChainSnapshot, chained
from ledger.adapters.memory.objects import MemoryObjects
from ledger.adapters.signing import Signatures, Signer, SigningKeyError, new_key
from ledger.application import export_chain as exporting
from ledger.application.export_chain import (
    ChainChangedError,
    ExportBesideError,
    ExportChain,
    UntrustedCheckpointError,
)
from ledger.application.post_events import Batch, PostEvents
from ledger.application.verify_chain import VerifyChain
from ledger.application.verify_checkpoints import VerifyCheckpoints
from ledger.contract.checkpoints import (
    Checkpoint,
    DamagedCheckpointError,
    checkpoint_name,
    decode_links,
    encode_links,
)
from ledger.domain.books import Rules
from ledger.domain.chain import ChainedTransaction, Head, Link, extend, first_head
from tests.builders import NOW, HandClock, transfer
from tests.fakes import RememberedSignals

PRIVATE, PUBLIC = new_key()
OTHER_PRIVATE, OTHER_PUBLIC = new_key()

Found = list[tuple[Any, ...]]


class Stage:
    """A ledger with a chain, and a store for checkpoints that nobody of the ledger can change."""

    def __init__(self) -> None:
        self.books = MemoryBooks()
        self.chain = MemoryChain(self.books)
        self.objects = MemoryObjects()
        self.count = 0

    async def grow(self, count: int, tenant: str = "acme") -> None:
        post = PostEvents(self.books, HandClock(), Rules(), RememberedSignals())
        events = [
            transfer("external:bank", "ann", 10 + number, name=f"{tenant} {number}", tenant=tenant)
            for number in range(self.count, self.count + count)
        ]
        self.count += count
        await post(Batch(events, []))
        await self.chain.append([event.identity for event in events])

    async def export(self, private: bytes = PRIVATE, *others: bytes) -> Checkpoint | None:
        signer = Signer(private)
        trusted = Signatures([signer.public_pem, *others])
        async with self.chain.snapshot() as snapshot:
            return await ExportChain(snapshot, self.objects, signer, trusted)(NOW)

    async def verify(self, *public: bytes) -> Found:
        """What is wrong with which link, or with which checkpoint."""
        async with self.chain.snapshot() as snapshot:
            check = await VerifyCheckpoints(snapshot, self.objects, Signatures(public or (PUBLIC,)))()
        return [
            (each["what"], each.get("tenant"), each.get("number"), each.get("checkpoint"))
            for each in check.violations
        ]

    async def walk(self) -> list[dict[str, Any]]:
        async with self.chain.snapshot() as snapshot:
            return (await VerifyChain(snapshot)()).violations

    def links(self, tenant: str = "acme") -> list[Link]:
        return self.chain._chains[tenant]

    def write_anew(self, tenant: str = "acme") -> None:
        """Make the chain right again, over what the books hold now."""
        self.chain._chains[tenant] = extend(tenant, first_head(tenant), self.posted(self.links(tenant)))

    def posted(self, links: Sequence[Link]) -> list[ChainedTransaction]:
        """The transactions of links, as the books hold them now."""
        posted = self.books.contents.transactions
        keys = [(link.tenant, link.event_id) for link in links]
        return [chained(posted[key]) for key in keys if key in posted]

    def change(self, number: int, **more: Any) -> None:
        key = ("acme", self.links()[number - 1].event_id)
        posted = dict(self.books.contents.transactions)
        posted[key] = msgspec.structs.replace(posted[key], **more)
        self.books.contents.transactions = posted


@pytest.fixture
async def stage() -> Stage:
    """Two checkpoints: links 1 to 5 of a tenant, then 6 to 9 and three of another."""
    stage = Stage()
    await stage.grow(5)
    assert await stage.export() is not None
    await stage.grow(4)
    await stage.grow(3, "other")
    assert await stage.export() is not None
    return stage


async def test_chain_that_nobody_touched_is_as_exported(stage: Stage) -> None:
    await stage.grow(2)
    assert (await stage.verify(), await stage.walk()) == ([], [])


async def test_checkpoint_has_the_links_since_the_one_before(stage: Stage) -> None:
    names = sorted(name for name in stage.objects.contents if name.startswith("links/"))
    found = [
        [(link.tenant, link.number) for link in decode_links(stage.objects.contents[name])] for name in names
    ]
    assert found[0] == [("acme", number) for number in range(1, 6)]
    assert found[1] == [*(("acme", number) for number in range(6, 10)), *(("other", n) for n in (1, 2, 3))]


async def test_nothing_new_is_no_checkpoint(stage: Stage) -> None:
    before = dict(stage.objects.contents)
    assert await stage.export() is None
    assert stage.objects.contents == before


async def test_links_go_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE_LINKS", 2)
    monkeypatch.setattr(exporting, "PART_LINKS", 3)
    stage = Stage()
    await stage.grow(9)
    checkpoint = await stage.export()
    assert checkpoint is not None
    assert [part.links for part in checkpoint.parts] == [4, 4, 1]
    assert await stage.verify() == []


# The books, changed by hand, and the chain with them


async def test_changed_transaction_is_found_though_its_chain_was_written_anew(stage: Stage) -> None:
    stage.change(4, reference="changed")
    stage.change(8, effective_at=NOW - timedelta(days=1))
    stage.write_anew()
    what = "the transaction is not what was exported"
    assert await stage.walk() == []
    assert await stage.verify() == [(what, "acme", 4, 1), (what, "acme", 8, 2)]


async def test_transaction_taken_out_is_found_though_its_chain_was_written_anew(stage: Stage) -> None:
    posted = dict(stage.books.contents.transactions)
    del posted["acme", stage.links()[6].event_id]
    stage.books.contents.transactions = posted
    stage.write_anew()
    assert await stage.walk() == []
    assert await stage.verify() == [("another transaction stands here", "acme", 7, 2)]


async def test_transactions_in_another_order_are_found(stage: Stage) -> None:
    links = stage.links()
    links[1], links[2] = links[2], links[1]
    stage.write_anew()
    assert await stage.walk() == []
    assert await stage.verify() == [("another transaction stands here", "acme", 2, 1)]


async def test_links_made_late_are_found(stage: Stage) -> None:
    posted = stage.books.contents.transactions
    rows = [chained(posted["acme", link.event_id]) for link in stage.links()]
    stage.chain._chains["acme"] = extend("acme", first_head("acme"), rows, late=True)
    assert await stage.verify() == [("the link is not what was exported", "acme", 1, 1)]


async def test_end_that_was_cut_off_is_found(stage: Stage) -> None:
    del stage.links()[7:]
    assert await stage.walk() == []
    assert await stage.verify() == [("the link is gone from here on", "acme", 8, 2)]


async def test_tenant_that_is_gone_is_found(stage: Stage) -> None:
    del stage.chain._chains["other"]
    assert await stage.verify() == [("the link is gone from here on", "other", 1, 2)]


@pytest.mark.parametrize("change", ["reference", "end", "tenant"])
async def test_nothing_is_exported_onto_a_chain_that_is_another(stage: Stage, change: str) -> None:
    await stage.grow(2)
    if change == "reference":
        stage.change(4, reference="changed")
        stage.write_anew()
    elif change == "end":
        del stage.links()[8:]
    else:
        del stage.chain._chains["other"]
    before = dict(stage.objects.contents)
    with pytest.raises(ChainChangedError, match=r"acme|other"):
        await stage.export()
    assert stage.objects.contents == before


HEADS: dict[str, Callable[[Mapping[str, Head]], Mapping[str, Head]]] = {
    "an earlier link": lambda heads: {**heads, "acme": Head(3, heads["acme"].hash)},
    "no link": lambda heads: {**heads, "acme": first_head("acme")},
    "a later link": lambda heads: {**heads, "acme": Head(99, heads["acme"].hash)},
    "another hash": lambda heads: {**heads, "acme": Head(heads["acme"].number, b"x" * 32)},
    "nothing": lambda heads: {"other": heads["other"]},
}


@pytest.mark.parametrize("grown", [0, 2])
@pytest.mark.parametrize("said", HEADS)
async def test_nothing_is_exported_of_a_chain_whose_head_says_another_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: str, grown: int
) -> None:
    await stage.grow(grown)
    read = MemoryChainSnapshot.heads

    async def heads(self: MemoryChainSnapshot) -> Mapping[str, Head]:
        return HEADS[said](await read(self))

    monkeypatch.setattr(MemoryChainSnapshot, "heads", heads)
    before = dict(stage.objects.contents)
    with pytest.raises(ChainChangedError, match="the chain of acme"):
        await stage.export()
    assert stage.objects.contents == before


@pytest.mark.parametrize(("number", "said"), [(10, "link 10 of acme"), (11, "link 11 of acme")])
async def test_nothing_is_exported_of_new_links_that_were_changed(
    stage: Stage, number: int, said: str
) -> None:
    await stage.grow(3)
    stage.links()[number - 1] = msgspec.structs.replace(stage.links()[number - 1], digest=b"x" * 32)
    with pytest.raises(ChainChangedError, match=said):
        await stage.export()


async def test_nothing_is_exported_of_new_links_that_do_not_follow_on_the_checkpoint(stage: Stage) -> None:
    await stage.grow(2)
    links = stage.links()
    stage.chain._chains["acme"] = [*links[:9], *extend("acme", Head(9, b"x" * 32), stage.posted(links[9:]))]
    assert [each["what"] for each in await stage.walk()] == ["the link was changed"]
    with pytest.raises(ChainChangedError, match="link 10 of acme"):
        await stage.export()


# The checkpoints, changed by hand


def forge(stage: Stage) -> None:
    """Change what was exported, and every hash with it; only the signature cannot be made anew."""
    [name] = [name for name in stage.objects.contents if name.startswith("links/0000000001")]
    links = decode_links(stage.objects.contents[name])
    body = encode_links([msgspec.structs.replace(links[0], digest=b"x" * 32), *links[1:]])
    stage.objects.contents[name] = body
    old = name.removeprefix("links/0000000001/").removesuffix(".jsonl")
    signed = stage.objects.contents[checkpoint_name(1)]
    stage.objects.contents[checkpoint_name(1)] = signed.replace(
        f'"hash\\":\\"{old}'.encode(),
        f'"hash\\":\\"{hashlib.blake2b(body, digest_size=32).hexdigest()}'.encode(),
    )


def cut(stage: Stage) -> None:
    stage.objects.contents[checkpoint_name(1)] = stage.objects.contents[checkpoint_name(1)][:-9]


def take(stage: Stage) -> None:
    del stage.objects.contents[checkpoint_name(1)]


def take_links(stage: Stage) -> None:
    [name] = [name for name in stage.objects.contents if name.startswith("links/0000000001")]
    del stage.objects.contents[name]


def change_links(stage: Stage) -> None:
    [name] = [name for name in stage.objects.contents if name.startswith("links/0000000001")]
    stage.objects.contents[name] += b" "


def repeat(stage: Stage) -> None:
    stage.objects.contents[checkpoint_name(3)] = stage.objects.contents[checkpoint_name(2)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (cut, [("the checkpoint cannot be read", 1)]),
        (take, [("the checkpoint is missing", 1)]),
        (take_links, [("links of the checkpoint are missing", 1)]),
        (change_links, [("links of the checkpoint were changed", 1)]),
        (
            forge,
            [
                ("the checkpoint is not signed by a key that is trusted", 1),
                ("the checkpoint does not follow on the one before", 2),
            ],
        ),
        (
            repeat,
            [
                ("the checkpoint has another number than its name", 3),
                ("the checkpoint does not follow on the one before", 3),
            ],
        ),
    ],
)
async def test_change_of_a_checkpoint_is_found(
    stage: Stage, change: Callable[[Stage], None], found: list[tuple[str, int]]
) -> None:
    change(stage)
    assert [(each[0], each[3]) for each in await stage.verify()] == found


async def test_checkpoint_of_another_key_is_not_trusted(stage: Stage) -> None:
    found = await stage.verify(OTHER_PUBLIC)
    assert found == [
        ("the checkpoint is not signed by a key that is trusted", None, None, number) for number in (1, 2)
    ]


async def test_key_can_be_changed(stage: Stage) -> None:
    await stage.grow(1)
    await stage.export(OTHER_PRIVATE, PUBLIC)
    assert await stage.verify(PUBLIC, OTHER_PUBLIC) == []
    assert [each[3] for each in await stage.verify(PUBLIC)] == [3]


async def test_nothing_is_exported_onto_a_checkpoint_that_nobody_trusted_signed(stage: Stage) -> None:
    """Whoever may write there could make the export pass over links by a checkpoint of their own."""
    await stage.grow(1)
    await stage.export(OTHER_PRIVATE, PUBLIC)
    await stage.grow(1)
    before = dict(stage.objects.contents)
    with pytest.raises(UntrustedCheckpointError, match="checkpoint 3"):
        await stage.export()
    assert stage.objects.contents == before
    assert await stage.export(PRIVATE, OTHER_PUBLIC) is not None


async def test_nothing_is_exported_onto_a_checkpoint_in_the_place_of_another(stage: Stage) -> None:
    repeat(stage)
    await stage.grow(1)
    with pytest.raises(DamagedCheckpointError, match="checkpoint 3 says that it is 2"):
        await stage.export()


async def test_no_checkpoint_at_all_is_told(stage: Stage) -> None:
    stage.objects.contents = {}
    assert [each[0] for each in await stage.verify()] == ["there are no checkpoints"]


async def test_exports_side_by_side_write_one_checkpoint(stage: Stage) -> None:
    await stage.grow(1)
    names = stage.objects.names

    async def late(prefix: str) -> Any:
        found = await names(prefix)
        stage.objects.names = names  # type: ignore[method-assign]
        await stage.export()
        return found

    stage.objects.names = late  # type: ignore[method-assign]
    with pytest.raises(ExportBesideError):
        await stage.export()
    assert await stage.verify() == []


@pytest.mark.parametrize("text", [b"", b"no key", PUBLIC])
def test_what_is_no_private_key_is_told(text: bytes) -> None:
    with pytest.raises(SigningKeyError):
        Signer(text)


@pytest.mark.parametrize("text", [b"", b"no key", PRIVATE])
def test_what_is_no_public_key_is_told(text: bytes) -> None:
    with pytest.raises(SigningKeyError):
        Signatures([text])
