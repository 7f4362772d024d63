"""What people give to commands: names of tenants, and texts that can be stored."""

import re

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


def check_texts(option: str, *texts: str) -> None:
    """Refuse what no table and no JSON can hold: bytes that are not UTF-8, and U+0000."""
    for text in texts:
        # What is not UTF-8 comes from the operating system as half a character, which nothing can write.
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            refuse(f"{option} is not text in UTF-8: {text!r}.")
