"""Which addresses a provider may have: no call is led into our own network unless it was meant to go there."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefusedError(OSError):
    """The host is an address to which no provider is called."""


def check_url(url: str, hosts: Sequence[str], networks: Sequence[Network], *, plain_http: bool) -> None:
    """Raise ValueError unless providers may be called at this URL.

    `hosts` is the allow-list. An address in place of a name must be public, or inside one of `networks`.
    """
    parts = urlsplit(url)
    if parts.port == 0:  # one that is no port at all raises
        raise ValueError("port 0 is none that can be called")
    if parts.scheme not in (("https", "http") if plain_http else ("https",)):
        raise ValueError("a provider is called by https")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("the URL of a provider holds no user, query or fragment")
    if parts.hostname is None or parts.hostname not in {host.lower() for host in hosts}:
        raise ValueError(f"{parts.hostname} is not on the list of hosts that may be called")
    if (address := _address(parts.hostname)) and not is_allowed(address, networks):
        raise ValueError(f"{parts.hostname} is not a public address")


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address is public, or inside one of the networks named. An embedded IPv4 address counts as itself."""
    if any(each in network for each in (address, *_embedded(address)) for network in networks):
        return True
    return all(each.is_global and not each.is_multicast for each in (address, *_embedded(address)))


class GuardedResolver(AbstractResolver):
    """Resolves names, and gives only addresses that are allowed: what is checked is what is connected to."""

    def __init__(self, networks: Sequence[Network], inner: AbstractResolver) -> None:
        self._networks = networks
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the addresses of a host; raises AddressRefusedError if none is left."""
        found = await self._inner.resolve(host, port, family)
        kept = [each for each in found if is_allowed(_resolved(each), self._networks)]
        if not kept:
            raise AddressRefusedError(f"{host} has no address that may be called")
        return kept

    async def close(self) -> None:
        await self._inner.close()


def _embedded(address: Address) -> Iterator[Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if mapped := address.ipv4_mapped or address.sixtofour:
        yield mapped
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo:
        yield from address.teredo


def _resolved(result: ResolveResult) -> Address:
    return ipaddress.ip_address(result["host"].partition("%")[0])


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
