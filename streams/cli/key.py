"""`ledger key`: keys of the API."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import typer

from ledger.adapters.system import SystemClock
from ledger.application.access import Scope
from ledger.application.api_keys import (
    NAME_CHARACTERS_MAX,
    ApiKey,
    ApiKeys,
    KeyWish,
    NoKeyError,
    is_key_id,
    scopes_of,
)
from ledger.bootstrap.keys import api_keys
from ledger.config import Settings
from streams.cli.asking import user_name
from streams.cli.commands import HELP
from streams.cli.given import check_tenant
from streams.cli.moments import MomentFormatError, parse_moment
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.embedded.addresses import find_postgres
from streams.key_secret import find_key_secret

key = typer.Typer(help=HELP["key"], no_args_is_help=True)

Answer = TypeVar("Answer")

_LIFETIME = re.compile(r"(\d{1,5})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SCOPES: dict[str, Scope] = {"read": "read", "write": "write", "admin": "admin"}
_JSON = typer.Option(False, "--json", help="Print JSON.")


@key.command("create")
def create(
    tenant: str = typer.Option(..., "--tenant", help="Whose key it is; a tenant that is not there is made."),
    name: str = typer.Option("key", "--name", help="What to call it, in lists."),
    scope: list[str] = typer.Option(
        ["read"], "--scope", help="read, write or admin; each includes those before it. May be repeated."
    ),
    expires: str | None = typer.Option(
        None, "--expires", help="90d, 12h, 30m from now, or RFC 3339. Without it: never."
    ),
    json_output: bool = _JSON,
) -> None:
    """Make a key, and show it once: only an HMAC of it is kept."""
    now = SystemClock().now()
    wish = KeyWish(check_tenant(tenant), _name(name), _scopes(scope), _expiry(expires, now))
    text, kept = _run(lambda keys: keys.create(wish, user_name()))
    if json_output:
        print_json({"key": str(text), **_facts(kept)})
        return
    print(text)
    complain(f"This is shown once. It may {_told_scopes(kept)} for {kept.tenant}{_told_expiry(kept)}.")


@key.command("list")
def list_keys(
    tenant: str | None = typer.Option(None, "--tenant", help="Only keys of this tenant."),
    json_output: bool = _JSON,
) -> None:
    """List keys, without their secrets."""
    found = _run(lambda keys: keys.find(None if tenant is None else check_tenant(tenant)))
    if json_output:
        print_json({"keys": [_facts(each) for each in found]})
    elif found:
        show_keys(found)
    else:
        print("There are no keys. `ledger key create --tenant TENANT` makes one.")


@key.command("revoke")
def revoke(
    key_id: str = typer.Argument(help="The id of the key: the 16 characters after lk_."),
    json_output: bool = _JSON,
) -> None:
    """Revoke a key; the API refuses it within seconds. To rotate, create the next one first."""
    if not is_key_id(key_id):
        refuse("A key's id is the 16 letters and digits after lk_; `ledger key list` shows it.")
    kept = _run(lambda keys: keys.revoke(key_id))
    if json_output:
        print_json(_facts(kept))
    else:
        print(f"The key {kept.key_id} ({kept.name}) of {kept.tenant} is revoked.")


def _run(work: Callable[[ApiKeys], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        settings = Settings()
        dsn, key_secret = find_postgres(settings), find_key_secret(settings)
        async with api_keys(settings, dsn, key_secret=key_secret) as keys:
            return await work(keys)

    try:
        with told_faults():
            return asyncio.run(run())
    except NoKeyError as error:
        complain(f"{error} `ledger key list` shows those that there are.")
        raise typer.Exit(FOUND_WRONG) from error


def _name(text: str) -> str:
    if not 0 < len(text.strip()) <= NAME_CHARACTERS_MAX or not text.isprintable():
        refuse(f"--name takes 1 to {NAME_CHARACTERS_MAX} printable characters.")
    return text.strip()


def _scopes(texts: Sequence[str]) -> frozenset[Scope]:
    for text in texts:
        if text not in _SCOPES:
            refuse(f"{text!r} is no scope: read, write and admin are.")
    return scopes_of(_SCOPES[text] for text in texts)


def _expiry(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    found = _LIFETIME.fullmatch(text)
    try:
        ahead = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
        moment = parse_moment(text, now) if ahead is None else now + ahead
    except MomentFormatError:
        refuse(f"--expires {text!r}: 90d, 12h and 30m are good, and so is 2027-11-21T10:00:00Z.")
    if moment <= now:
        refuse(f"--expires {text!r} is over already.")
    return moment


def _facts(kept: ApiKey) -> dict[str, Any]:
    return {
        "key_id": kept.key_id,
        "tenant": kept.tenant,
        "name": kept.name,
        "scopes": _ordered(kept),
        "created_at": _written(kept.created_at),
        "created_by": kept.created_by,
        "expires_at": _written(kept.expires_at),
        "revoked_at": _written(kept.revoked_at),
        "last_used_at": _written(kept.last_used_at),
    }


def _ordered(kept: ApiKey) -> list[str]:
    return [scope for scope in _SCOPES if scope in kept.scopes]


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _told_scopes(kept: ApiKey) -> str:
    return ", ".join(_ordered(kept))


def _told_expiry(kept: ApiKey) -> str:
    return f" until {_written(kept.expires_at)}" if kept.expires_at else ""


def show_keys(found: Sequence[ApiKey]) -> None:
    """Print a table of keys, with ids as `ledger key revoke` takes them."""
    from rich.table import Table

    from streams.cli.uncut import print_uncut

    table = Table(box=None)
    # `ledger key revoke` wants the whole id, so others give way.
    table.add_column("id", no_wrap=True, overflow="fold")
    for heading in ("tenant", "name", "scopes", "state", "last used"):
        table.add_column(heading, overflow="fold")
    for each in found:
        used = _to_the_second(each.last_used_at) if each.last_used_at else "never"
        table.add_row(each.key_id, each.tenant, each.name, _told_scopes(each), _state(each), used)
    print_uncut(table)


def _state(kept: ApiKey) -> str:
    if kept.revoked_at is not None:
        return f"revoked {_to_the_second(kept.revoked_at)}"
    if kept.expires_at is None:
        return "good"
    is_good = kept.is_good_at(SystemClock().now())
    return f"{'good until' if is_good else 'expired'} {_to_the_second(kept.expires_at)}"


def _to_the_second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
