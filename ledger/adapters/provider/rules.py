"""How one provider is called: where, signed with what, and within which bounds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from ledger.adapters.provider.addresses import Network, check_url
from ledger.application.breaker import BreakerRules
from ledger.contract.signature import SECRET_BYTES_MIN

SLOTS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRules:
    """One provider over HTTP; times in seconds.

    Raises ValueError for an address that may not be called, and for a bound that is none.
    """

    name: str
    tenant: str = ""
    """Whose it is, for signals."""
    url: str
    """`https://host[:port][/prefix]`, under which the provider's routes are."""
    secret: bytes = field(repr=False)
    hosts: Sequence[str]
    """The hosts that may be called."""
    networks: Sequence[str] = ()
    """Networks that may be called though they are not public, as `127.0.0.0/8`."""
    plain_http: bool = False
    """Whether http without TLS will do."""

    connect_timeout_s: float = 2.0
    total_timeout_s: float = 10.0
    slots: int = 32
    """Calls, and connections, at a time."""
    slot_wait_s: float = 0.1
    """A call that finds no slot for so long is put off."""
    answer_bytes_max: int = 64 * 1024
    breaker: BreakerRules = field(default_factory=lambda: BreakerRules(slow_s=5.0))

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES_MIN:
            raise ValueError(f"the secret of {self.name} has less than {SECRET_BYTES_MIN} bytes")
        self._check_bounds()
        check_url(self.url, self.hosts, self.allowed, plain_http=self.plain_http)

    def _check_bounds(self) -> None:
        for name in ("connect_timeout_s", "total_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is a number of seconds above 0")
        if not 1 <= self.slots <= SLOTS_MAX:
            raise ValueError(f"slots is 1 to {SLOTS_MAX}")

    @property
    def allowed(self) -> list[Network]:
        """The networks that may be called, beside what is public."""
        return [ip_network(each) for each in self.networks]
