"""What the API stands on: use cases and readers, made by the composition root."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ledger.api.console_services import ConsoleServices
from ledger.api.draining import Draining
from ledger.api.quotas import Quotas, RefusedSenders
from ledger.api.telemetry import ApiMetrics
from ledger.application.cached_balances import CachedBalances
from ledger.application.eventual_balance import ReadEventualBalance
from ledger.application.key_chain import KeyChain
from ledger.application.live_balances import LiveBalances
from ledger.application.payment_ports import PaymentReader
from ledger.application.places import Places
from ledger.application.ports import Clock
from ledger.application.provider_reading import ProviderReader
from ledger.application.read_windows import ReadWindows
from ledger.application.reading import BalanceReader, HistoryReader
from ledger.application.receive_webhooks import ReceiveWebhooks
from ledger.application.submit_events import SubmitEvents
from ledger.config import Settings
from ledger.observability.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that routes may use. What is None is not there: its routes answer `not_available`."""

    settings: Settings
    signals: Signals
    clock: Clock
    keys: KeyChain
    balances: BalanceReader
    history: HistoryReader
    is_ready: Callable[[], Awaitable[bool]]
    """Tells, cheaply, whether the books can be read."""
    payments: Callable[[int], PaymentReader] | None = None
    """Gives what reads the payments of a tenant."""
    providers: Callable[[int], ProviderReader] | None = None
    """Gives what reads the providers of a tenant."""
    webhooks: ReceiveWebhooks | None = None
    senders: RefusedSenders | None = None
    """Who sends webhooks that are not signed."""
    cached: CachedBalances | None = None
    eventual: ReadEventualBalance | None = None
    windows: ReadWindows | None = None
    submit: SubmitEvents | None = None
    live: LiveBalances | None = None
    quotas: Quotas | None = None
    places: Places | None = None
    metrics: ApiMetrics | None = None
    console: ConsoleServices | None = None
    draining: Draining = field(default_factory=Draining)
