"""The keys of the table: `tenant/account asset` for a life, with ` 1m 1763712000` after it for a window."""

from typing import NamedTuple

from ledger.domain.window import WindowSize

EDITION_KEY = b"edition"
"""The first record of a changelog partition: which making of the topic it is of. No account has such a key."""

_SIZES = {size.value.encode(): size for size in WindowSize}
_SUFFIXES = {size: b" " + size.value.encode() + b" " for size in WindowSize}


class WindowKey(NamedTuple):
    """A window's key, read: whose it is, how long, and its start in seconds since 1970."""

    name: bytes
    size: WindowSize
    start: int


def life_key(tenant: str, account: str, asset: str) -> bytes:
    """Give the key of a life: it names an account and asset, and begins the keys of its windows."""
    return f"{tenant}/{account} {asset}".encode()


def window_key(name: bytes, size: WindowSize, start: int) -> bytes:
    """Give the key of a window of the account and asset that a life's key names."""
    return name + _SUFFIXES[size] + b"%d" % start


def read_key(key: bytes) -> WindowKey | None:
    """Take a window's key apart; None for a life's."""
    parts = key.split(b" ")
    return WindowKey(parts[0] + b" " + parts[1], _SIZES[parts[2]], int(parts[3])) if len(parts) == 4 else None
