"""The limits of a payment: how long it waits, how often it tries, when it asks for help."""

from datetime import datetime, timedelta

import msgspec

COUNT_MAX = 10_000
SECONDS_MAX = 366 * 86_400.0


class PaymentRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times in seconds. Raises ValueError for one that cannot be."""

    charge_tries_max: int = 8
    """So often the provider is asked to charge; then the payment is released."""
    refund_tries_max: int = 20
    """So often the provider is asked to refund; then an operator is."""
    publish_tries_max: int = 20
    """So often a capture or void is published while its outcome is missing; then an operator is asked."""
    answer_s: float = 30.0
    """An answer that takes longer is unknown. Longer than the time limit of a call."""
    outcome_s: float = 15.0
    """How long an outcome of the books may take before the event is published again."""
    backoff_s: float = 0.5
    """The longest first wait between tries; it doubles with each, and a random share of it is waited."""
    backoff_s_max: float = 60.0
    """The longest wait between tries, but for what a provider asks for."""
    retry_after_s_max: float = 3600.0
    """A provider that asks to wait longer is asked again after this."""
    not_found_grace_s: float = 120.0
    """How long a call that was not answered may still be on its way: so long "not found" is not believed."""
    unknown_s_max: float = 4 * 3600.0
    """What stays unknown for longer needs an operator. More than `not_found_grace_s`."""
    alert_again_s: float = 3600.0
    """How often an operator is told again of a payment that waits for one."""
    deadline_s: float = 900.0
    """How long after its request a payment may begin a charge, where the request says nothing."""

    def __post_init__(self) -> None:
        small = [name for name in self.__struct_fields__ if not getattr(self, name) > 0]
        if small:
            raise ValueError(f"these must be positive: {', '.join(small)}")
        large = [name for name in self.__struct_fields__ if not getattr(self, name) <= _most(name)]
        if large:
            raise ValueError(
                f"these are too large: {', '.join(f'{each} ({_most(each):g} at most)' for each in large)}"
            )

        if self.not_found_grace_s >= self.unknown_s_max:
            raise ValueError(
                "not_found_grace_s must be less than unknown_s_max: what is not found never ended"
            )

    def backoff(self, tries: int, chance: float) -> timedelta:
        """Wait a random share (`chance`, in [0, 1)) of a time that doubles with each try: full jitter."""
        longest_s = min(self.backoff_s_max, self.backoff_s * 2.0 ** min(tries, 60))
        return timedelta(seconds=chance * longest_s)


def _most(name: str) -> float:
    return COUNT_MAX if name.endswith("_tries_max") else SECONDS_MAX


class Occasion(msgspec.Struct, frozen=True):
    """What a move takes from outside."""

    now: datetime
    """In UTC."""
    chance: float
    """In [0, 1)."""
    fresh_id: str
    """An unused event id, for a capture or void if this move makes one."""
    rules: PaymentRules

    def later(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def backoff(self, tries: int, after_s: float | None = None) -> datetime:
        """Say when to try again: not before `after_s` from now, and not all payments at once."""
        # In this order a NaN comes out as 0.
        asked_s = min(self.rules.retry_after_s_max, max(0.0, after_s or 0.0))
        return self.later(asked_s) + self.rules.backoff(tries, self.chance)
