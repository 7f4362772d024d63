"""The limits of payments, from the settings."""

import msgspec

from ledger.config import Settings
from ledger.domain.payments.rules import PaymentRules


def payment_rules_of(settings: Settings) -> PaymentRules:
    """Give the limits of payments; raises ValueError for one that does not exist or cannot be."""
    try:
        return msgspec.convert(settings.payment_rules, PaymentRules)
    except msgspec.ValidationError as fault:
        raise ValueError(f"LEDGER_PAYMENT_RULES: {fault}") from fault
