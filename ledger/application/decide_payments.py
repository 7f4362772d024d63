"""What operators do about payments: look, and decide; each decision is a line of the timeline, with who and why."""

from collections.abc import Sequence

from ledger.application.payment_calls import DETAIL_MAX, Heard
from ledger.application.payment_ports import NumberedLine, Payment, PaymentKey, PaymentReader
from ledger.application.ports import Clock
from ledger.application.provider_reading import BreakerTold, ProviderReader, fresh_since
from ledger.application.saga_mover import Moved, SagaMover
from ledger.domain.commands import LEDGER_PREFIX
from ledger.domain.payments.happenings import Decided, Decision
from ledger.domain.payments.saga import ChargeFact, State

LINES_AT_ONCE = 500
STUCK_MAX = 10_000


class NoPaymentError(Exception):
    """There is no such payment."""


class NotForOperatorsError(Exception):
    """The payment does not wait for an operator, or not for this decision: nothing was done."""


class PaymentDesk:
    """Decisions are stored, and workers carry out what follows from them when it is due."""

    def __init__(
        self, reader: PaymentReader, mover: SagaMover, providers: ProviderReader, clock: Clock
    ) -> None:
        self._reader = reader
        self._mover = mover
        self._providers = providers
        self._clock = clock

    async def breakers(self) -> Sequence[BreakerTold]:
        """Read how the workers' breakers stand."""
        return await self._providers.breakers(fresh_since(self._clock.now()))

    async def list(self, tenant: str | None, states: Sequence[State], limit: int) -> Sequence[Payment]:
        """List payments of a tenant, or of all, in these states, or in any; the newest first."""
        return await self._reader.payments(tenant, states, None, limit)

    async def find(self, key: PaymentKey) -> tuple[Payment, Sequence[NumberedLine]]:
        """Read a payment and all of its timeline; raises NoPaymentError."""
        payment = await self._reader.payment(key)
        if payment is None:
            raise NoPaymentError(f"{key.tenant} has no payment {key.id}.")
        lines = [*await self._reader.timeline(key, 0, LINES_AT_ONCE)]
        while lines and len(page := await self._reader.timeline(key, lines[-1].number, LINES_AT_ONCE)):
            lines += page
        return payment, lines

    async def stuck(self, tenant: str | None, provider: str | None) -> Sequence[Payment]:
        """List up to STUCK_MAX payments that need an operator, of a tenant and a provider, or of all."""
        found = await self._reader.payments(tenant, [State.NEEDS_OPERATOR], None, STUCK_MAX)
        return [each for each in found if provider in (None, each.terms.provider)]

    async def retry_all(self, keys: Sequence[PaymentKey], *, by: str, why: str) -> Sequence[Payment]:
        """Decide `retry` about each; gives those about which it was: the others went on meanwhile.

        Raises TransientFaultError.
        """
        retried = []
        for key in keys:
            try:
                retried.append(await self.decide(key, Decision.RETRY, by=by, why=why))
            except (NoPaymentError, NotForOperatorsError):
                continue
        return retried

    async def decide(
        self, key: PaymentKey, decision: Decision, *, by: str, why: str, reference: str | None = None
    ) -> Payment:
        """Decide about a payment that needs an operator; gives it as it is then.

        Raises NoPaymentError, NotForOperatorsError, TransientFaultError, and ValueError for `charged` without
        the provider's reference.
        """
        payment = await self._reader.payment(key)
        if payment is None:
            raise NoPaymentError(f"{key.tenant} has no payment {key.id}.")
        if payment.saga.state is not State.NEEDS_OPERATOR:
            raise NotForOperatorsError(f"The payment is {payment.saga.state}: it does not need an operator.")
        _check_is_not_for_books(payment, decision)
        moved = await self._mover.move(
            payment, Heard(Decided(decision, by, reference), why[:DETAIL_MAX], by=by)
        )
        return _decided(moved, decision)


def _check_is_not_for_books(payment: Payment, decision: Decision) -> None:
    """Refuse to be told of a charge that another tenant's books decide: it may lie in the log, and be posted yet."""
    name = payment.terms.provider
    facts = (Decision.CHARGED, Decision.NOT_CHARGED)
    if name.startswith(LEDGER_PREFIX) and payment.saga.charge is ChargeFact.NONE and decision in facts:
        raise NotForOperatorsError(
            f"What becomes of the charge is decided by the books of {name.removeprefix(LEDGER_PREFIX)}: "
            f"`retry` asks them."
        )


def _decided(moved: Moved | None, decision: Decision) -> Payment:
    if moved is None:
        raise NotForOperatorsError(f"{decision} is known already: nothing was done.")
    if moved.payment.saga.state is State.NEEDS_OPERATOR and moved.verdict == "contradiction":
        raise NotForOperatorsError(f"{decision} contradicts what is known of this payment.")
    return moved.payment
