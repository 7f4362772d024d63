"""`ledger provider`: the providers of the tenants, and how they are called."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import typer

from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.provider.rules import SLOTS_MAX, ProviderRules
from ledger.adapters.provider.settings import ProviderSettings, read_settings
from ledger.adapters.system import SystemClock, new_event_id
from ledger.application.payment_ports import SealError
from ledger.application.provider_reading import BreakerTold, fresh_since
from ledger.bootstrap.limits import payment_rules_of
from ledger.bootstrap.providers import provider_directory, provider_reader
from ledger.config import Settings
from streams.checking_providers import check_provider
from streams.cli.asking import confirm
from streams.cli.commands import HELP
from streams.cli.given import check_texts
from streams.cli.moments import written
from streams.cli.provider_names import ProviderName, parse_provider
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.embedded.addresses import find_postgres
from streams.embedded.sealing_keys import with_sealing_keys

provider = typer.Typer(help=HELP["provider"], no_args_is_help=True)

Answer = TypeVar("Answer")
_Facts = dict[str, Any]

_NAME = typer.Argument(help="TENANT/NAME: the name is what `provider` says in a payment.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@provider.command("set")
def set_provider(
    name: str = _NAME,
    url: str | None = typer.Option(None, "--url", help="Under which its routes are."),
    secrets_file: str | None = typer.Option(
        None,
        "--secrets",
        help="A file with its secrets, one a line, the one that signs first; - reads them in.",
    ),
    make_secret: bool = typer.Option(False, "--make-secret", help="Make a secret, and show it once."),
    keep_secrets: bool = typer.Option(
        False, "--keep-secrets", help="Go on believing webhooks that the former secrets signed."
    ),
    host: list[str] = typer.Option(
        [], "--host", help="A host that may be called; without it, that of the URL."
    ),
    network: list[str] = typer.Option(
        [], "--network", help="A network that may be called though not public."
    ),
    plain_http: bool | None = typer.Option(None, "--plain-http/--https", help="Whether http will do."),
    when_down: str | None = typer.Option(
        None, "--when-down", help="wait or decline, while the breaker is open."
    ),
    connect_timeout: float | None = typer.Option(None, "--connect-timeout", help="Seconds to connect."),
    total_timeout: float | None = typer.Option(None, "--total-timeout", help="Seconds of a call in all."),
    slots: int | None = typer.Option(
        None, "--slots", min=1, max=SLOTS_MAX, help="Calls at a time of one worker."
    ),
    json_output: bool = _JSON,
) -> None:
    """Store how a provider is called, new or changed: what is not given stays as it was."""
    named = parse_provider(name)
    for option, texts in (("--url", [url or ""]), ("--host", host), ("--network", network)):
        check_texts(option, *texts)
    given: _Facts = {
        "url": url,
        "hosts": host or None,
        "networks": network or None,
        "plain_http": plain_http,
        "when_down": when_down,
        "connect_timeout_s": connect_timeout,
        "total_timeout_s": total_timeout,
        "slots": slots,
    }
    made = secrets.token_urlsafe() if make_secret else None
    fresh = _fresh_secrets(secrets_file, made)
    stored = _run(lambda kept: _store(kept, named, given, fresh, keep_secrets))
    if json_output:
        print_json({**_facts(named, stored), **({} if made is None else {"secret": made})})
        return
    if made is not None:
        print(made)
        complain("This is the secret. It is shown once: give it to the provider.")
    print(f"{named} is stored. Workers call it so within 10 s; `ledger provider check {named}` tries it.")


@provider.command("list")
def list_providers(
    tenant: str | None = typer.Option(None, "--tenant", help="Only those of this tenant."),
    json_output: bool = _JSON,
) -> None:
    """List providers, without their secrets, and how the breakers of the workers stand."""
    stored = _run(lambda kept: kept.all())
    breakers = _breakers()
    found = [
        (ProviderName(code, name), each, breakers.get((code, name), []))
        for code, name, each in stored
        if tenant in (None, code)
    ]
    if json_output:
        print_json({"providers": [{**_facts(named, each), "breakers": told} for named, each, told in found]})
        return
    for named, each, told in found:
        print(f"{named!s:<32} {each.get('url')}{_told(told)}")
    if not found:
        print("There are no providers. `ledger provider set TENANT/NAME --url URL --make-secret` makes one.")


@provider.command("show")
def show(name: str = _NAME, json_output: bool = _JSON) -> None:
    """Show how a provider is called; its secrets are only counted."""
    named = parse_provider(name)
    stored = _run(lambda kept: _found(kept, named))
    facts = {**_facts(named, stored), "secrets": len(stored.get("secrets", ()))}
    if json_output:
        print_json(facts)
        return
    for member, value in facts.items():
        print(f"{member:<18} {', '.join(value) if isinstance(value, list) else value}")


@provider.command("check")
def check(name: str = _NAME, json_output: bool = _JSON) -> None:
    """Ask a provider for the status of a key that it cannot know, as a worker would. Exit 1 unless it answers so."""
    named = parse_provider(name)
    stored = _run(lambda kept: _found(kept, named))
    key = f"{named.tenant}:{new_event_id()}:charge"
    checked = asyncio.run(check_provider(_rules(stored, named), key, SystemClock()))
    if json_output:
        print_json(
            {"provider": str(named), "ok": checked.ok, "found": checked.found, "detail": checked.detail}
        )
    else:
        print(f"{named}: {checked.detail}")
    if not checked.ok:
        raise typer.Exit(FOUND_WRONG)


@provider.command("remove")
def remove(
    name: str = _NAME,
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether it is meant."),
    json_output: bool = _JSON,
) -> None:
    """Forget a provider and its secrets: nothing new is accepted for it, and payments under way wait for it."""
    named = parse_provider(name)
    if not yes:
        confirm(f"{named} would be forgotten, with its secrets.")
    if not _run(lambda kept: kept.remove(*named)):
        _missing(named)
    if json_output:
        print_json({"provider": str(named), "removed": True})
    else:
        print(f"{named} is forgotten.")


@provider.command("reseal")
def reseal(json_output: bool = _JSON) -> None:
    """Seal all secrets with the first of LEDGER_SEALING_KEYS, so that the other keys can be forgotten."""
    sealed = _run(lambda kept: kept.seal_anew())
    if json_output:
        print_json({"sealed": sealed})
    else:
        print(f"The secrets of {sealed} providers are sealed with the first key.")


def _breakers() -> dict[tuple[str, str], list[_Facts]]:
    """Give what workers told of late, by tenant and name."""

    async def read() -> Sequence[BreakerTold]:
        settings = Settings()
        async with provider_reader(settings, find_postgres(settings)) as reader:
            return await reader.breakers(fresh_since(SystemClock().now()))

    with told_faults():
        told = asyncio.run(read())
    by_name: dict[tuple[str, str], list[_Facts]] = {}
    for each in told:
        facts = {
            "worker": each.worker,
            "state": each.state.value,
            "since": written(each.since),
            "retry_at": written(each.retry_at),
        }
        by_name.setdefault((each.tenant, each.provider), []).append(facts)
    return by_name


def _told(breakers: Sequence[_Facts]) -> str:
    not_closed = [
        f"{each['worker']}: {each['state']} since {each['since']}"
        for each in breakers
        if each["state"] != "closed"
    ]
    return "".join(f"\n    breaker of {each}" for each in not_closed)


async def _store(
    kept: PostgresProviders, named: ProviderName, given: _Facts, fresh: Sequence[str], keep_secrets: bool
) -> Mapping[str, Any]:
    before = await kept.find(*named) if keep_secrets or not fresh else await _shown(kept, named)
    wanted = {**(before or {}), **{member: value for member, value in given.items() if value is not None}}
    former = wanted.get("secrets", [])
    wanted["secrets"] = [*fresh, *(former if keep_secrets else ())] if fresh else former
    if given["hosts"] is None and (given["url"] is not None or "hosts" not in wanted):
        wanted["hosts"] = [_host_of(wanted.get("url") or "")]
    _check(wanted, named)
    await kept.put(*named, wanted)
    return wanted


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError as fault:
        refuse(f"--url is no URL: {fault}.")


def _check(wanted: Mapping[str, Any], named: ProviderName) -> None:
    if not wanted.get("url"):
        refuse(f"{named} is new: --url says where it is.")
    if not wanted["secrets"]:
        refuse(f"{named} has no secret: --secrets FILE gives one, --make-secret makes one.")
    answer_s = payment_rules_of(Settings()).answer_s
    rules = _rules(wanted, named)
    if rules.connect_timeout_s > rules.total_timeout_s:
        refuse(
            f"Connecting may take {rules.connect_timeout_s:g} s, and a call {rules.total_timeout_s:g} s in all: "
            "--connect-timeout must not be more than --total-timeout."
        )
    if rules.total_timeout_s >= answer_s:
        refuse(f"--total-timeout must be less than {answer_s:g} s, the `answer_s` of LEDGER_PAYMENT_RULES.")


async def _shown(kept: PostgresProviders, named: ProviderName) -> Mapping[str, Any] | None:
    """Its settings but for its secrets, which then need not be opened."""
    return next((stored for code, name, stored in await kept.all() if (code, name) == named), None)


async def _found(kept: PostgresProviders, named: ProviderName) -> Mapping[str, Any]:
    stored = await kept.find(*named)
    return _missing(named) if stored is None else stored


def _missing(named: ProviderName) -> Any:
    complain(f"There is no provider {named}. `ledger provider list` shows those that there are.")
    raise typer.Exit(FOUND_WRONG)


def _rules(stored: Mapping[str, Any], named: ProviderName) -> ProviderRules:
    try:
        return read_settings(stored).rules(named.name)
    except ValueError as fault:
        refuse(f"A provider cannot be called so: {fault}.")


def _fresh_secrets(source: str | None, made: str | None) -> list[str]:
    if source is not None and made is not None:
        refuse("--secrets and --make-secret are one or the other.")
    if source is None:
        return [] if made is None else [made]
    text = sys.stdin.read() if source == "-" else _text_of(source)
    found = [line.strip() for line in text.splitlines() if line.strip()]
    return found or refuse("There is no secret in what --secrets names.")


def _text_of(source: str) -> str:
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        refuse(f"{source} cannot be read: {getattr(fault, 'strerror', None) or 'it is not UTF-8'}.")


def _facts(named: ProviderName, stored: Mapping[str, Any]) -> _Facts:
    """All but its secrets; what is not stored has its default."""
    defaults = msgspec.structs.asdict(ProviderSettings(url="", secrets=[], hosts=[]))
    members = {
        member: stored.get(member, default) for member, default in defaults.items() if member != "secrets"
    }
    return {"provider": str(named), **members}


def _run(work: Callable[[PostgresProviders], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        settings = with_sealing_keys(Settings())
        async with provider_directory(settings, find_postgres(settings)) as kept:
            return await work(kept)

    try:
        with told_faults():
            return asyncio.run(run())
    except SealError as fault:
        complain(f"Secrets are sealed: {fault}.")
        raise typer.Exit(FOUND_WRONG) from fault
