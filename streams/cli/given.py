"""What people give to commands: tenants, ids, types, assets and stretches of time, checked before anything is asked."""

import re
from datetime import datetime

from ledger.contract.event_types import COMMANDS
from ledger.domain.ids import has_id_form
from ledger.domain.money import asset_fault
from streams.cli.running import refuse

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_tenant(text: str) -> bool:
    """Tell whether a tenant may have this name."""
    return _TENANT.fullmatch(text) is not None


def check_tenant(text: str) -> str:
    """Give the name of a tenant, or refuse it."""
    if not is_tenant(text):
        refuse(f"{text!r} is no tenant: up to 63 of a-z, 0-9 and -, not beginning with -.")
    return text


def check_type(text: str) -> str:
    """Give a type of events, or refuse it."""
    if text not in COMMANDS:
        refuse(f"{text!r} is no type of events: {', '.join(COMMANDS)} are.")
    return text


def check_event_id(text: str) -> str:
    """Give the id of an event as it is stored, or refuse it."""
    if not has_id_form(text):
        refuse(f"{text!r} is no id of an event: that is a UUID, as 01a1fcca-d44d-7133-a22d-6460097391b9.")
    return text.lower()


def check_asset(text: str) -> str:
    """Give an asset, or refuse it."""
    if (fault := asset_fault(text)) is not None:
        refuse(f"{fault[0].upper()}{fault[1:]}.")
    return text


def check_interval(
    since: datetime | None,
    until: datetime | None,
    now: datetime,
    names: tuple[str, str] = ("--since", "--until"),
) -> None:
    """Refuse a stretch of time that begins in the future, or does not begin before it ends."""
    if since is not None and since > now:
        refuse(f"{names[0]} is in the future: {since:%Y-%m-%dT%H:%M:%SZ}.")
    if since is not None and until is not None and since >= until:
        refuse(f"{names[0]} must be before {names[1]}: nothing lies between them.")


def check_texts(option: str, *texts: str) -> None:
    """Refuse what no table and no JSON can hold: bytes that are not UTF-8, and U+0000."""
    for text in texts:
        # What is not UTF-8 comes from the operating system as half a character, which nothing can write.
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            refuse(f"{option} is not text in UTF-8: {text!r}.")
