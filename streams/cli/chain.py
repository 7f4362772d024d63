"""`ledger chain`: what was posted, proved by hashes, and by checkpoints that are kept elsewhere."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from ledger.adapters.objects.store import StoredObjects, open_objects
from ledger.adapters.signing import Signatures, Signer, SigningKeyError, new_key
from ledger.application.export_chain import ChainChangedError, ExportBesideError, UntrustedCheckpointError
from ledger.config import Settings
from ledger.contract.checkpoints import (
    Checkpoint,
    DamagedCheckpointError,
    encode_checkpoint,
    hash_of_object,
)
from ledger.domain.audit import Verdict
from streams.checking_chain import Exported, export_chain, verify_chain
from streams.cli.commands import HELP
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.doctor.finding import counted
from streams.verdicts import show_verdict

chain = typer.Typer(help=HELP["chain"], no_args_is_help=True)

_STORE = "checkpoint store"

_CHECKPOINTS = typer.Option(
    None,
    "--checkpoints",
    metavar="URL",
    help="A directory, s3://bucket/prefix, gs://… or az://…; LEDGER_CHAIN_URL if not given.",
)
_JSON = typer.Option(False, "--json", help="Print JSON.")


@chain.command("key")
def key(
    file: Path = typer.Argument(..., help="Where the private key goes; the public one goes to FILE.pub."),
) -> None:
    """Make a key to sign checkpoints with (Ed25519). Keep the private one away from the database."""
    private, public = new_key()
    with told_faults():
        _write_new(file, private, 0o600)
        _write_new(file.with_name(f"{file.name}.pub"), public, 0o644)
    print(public.decode(), end="")


def _write_new(path: Path, body: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(body)


@chain.command("export")
def export(
    key_file: Path = typer.Option(..., "--key", help="The private key, as `ledger chain key` makes it."),
    url: str | None = _CHECKPOINTS,
    public_keys: list[Path] | None = typer.Option(
        None,
        "--public-key",
        metavar="FILE",
        help="Another key that may have signed the newest checkpoint, as where the key is changed. May be repeated.",
    ),
    json_output: bool = _JSON,
) -> None:
    """Write a signed checkpoint: where every chain ends, and its links since the checkpoint before."""
    settings = Settings()
    try:
        signer = Signer(_read(key_file))
    except SigningKeyError as fault:
        refuse(f"{key_file}: {fault}.")
    trusted = _trusted([signer.public_pem, *map(_read, public_keys or [])])
    objects = _opened(_url(settings, url), make=True)
    try:
        with told_faults(objects=_STORE):
            written = asyncio.run(export_chain(settings, objects, signer, trusted))
    except (
        ChainChangedError,
        ExportBesideError,
        DamagedCheckpointError,
        UntrustedCheckpointError,
    ) as fault:
        complain(f"{fault}. Nothing was exported; `ledger chain verify` says more.")
        raise typer.Exit(FOUND_WRONG) from fault
    _tell(written, json_output)


def _tell(written: Checkpoint | None, json_output: bool) -> None:
    if json_output:
        print_json({"checkpoint": None if written is None else _facts(written)})
    elif written is None:
        complain("Nothing was posted since the newest checkpoint.")
    else:
        links = sum(part.links for part in written.parts)
        told = f"{counted(links, 'new link')} of {counted(len(written.heads), 'tenant')}"
        complain(f"Checkpoint {written.number}: {told}.")
        print(_facts(written)["hash"])


def _facts(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "number": checkpoint.number,
        "at": checkpoint.at.isoformat(),
        "hash": hash_of_object(encode_checkpoint(checkpoint)),
        "links": sum(part.links for part in checkpoint.parts),
        "tenants": len(checkpoint.heads),
    }


@chain.command("verify")
def verify(
    url: str | None = _CHECKPOINTS,
    public_keys: list[Path] | None = typer.Option(
        None, "--public-key", metavar="FILE", help="A key whose checkpoints are trusted. May be repeated."
    ),
    json_output: bool = _JSON,
) -> None:
    """Walk every chain, and compare it with the checkpoints. May run beside live traffic. Exit 1 on a violation."""
    settings = Settings()
    named = url or settings.chain_url
    exported = None if named is None else _exported(named, public_keys or [])
    verdict, newest = _verified(settings, exported, quiet=json_output)
    if json_output:
        print_json({**verdict.as_dict(), "newest_checkpoint": None if newest is None else _facts(newest)})
    else:
        show_verdict(verdict, Console())
        if newest is not None:
            complain(f"The newest checkpoint is {newest.number}, of {newest.at.isoformat()}.")
    if not verdict.ok:
        raise typer.Exit(FOUND_WRONG)


def _exported(url: str, public_keys: list[Path]) -> Exported:
    if not public_keys:
        refuse("Whose checkpoints are trusted? --public-key FILE says it.")
    objects = _opened(url)
    return Exported(objects, _trusted([_read(each) for each in public_keys]))


def _trusted(public_pems: Sequence[bytes]) -> Signatures:
    try:
        return Signatures(public_pems)
    except SigningKeyError as fault:
        refuse(f"--public-key: {fault}.")


def _verified(
    settings: Settings, exported: Exported | None, *, quiet: bool
) -> tuple[Verdict, Checkpoint | None]:
    hidden = quiet or not sys.stderr.isatty()
    with (
        Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar,
        told_faults(objects=_STORE),
    ):
        task = bar.add_task("chain", total=None)

        def note(name: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return asyncio.run(verify_chain(settings, exported, note))


def _url(settings: Settings, url: str | None) -> str:
    named = url or settings.chain_url
    if named is None:
        refuse("Where do checkpoints go? --checkpoints URL says it, or LEDGER_CHAIN_URL.")
    return named


def _opened(url: str, *, make: bool = False) -> StoredObjects:
    with told_faults(objects=_STORE):
        return open_objects(url, make=make)


def _read(path: Path) -> bytes:
    with told_faults():
        return path.read_bytes()
