"""The limits of payments, from the settings."""

import msgspec

from ledger.config import Settings
from ledger.domain.payments.rules import PaymentRules


def payment_rules_of(settings: Settings) -> PaymentRules:
    """Give the limits of payments, which the settings have checked."""
    return msgspec.convert(settings.payment_rules, PaymentRules)
