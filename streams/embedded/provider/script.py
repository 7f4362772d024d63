"""The script of the provider: which call is treated how. Pure: a seed and a key decide, not the order of calls."""

import hashlib
from typing import Annotated, Literal

import msgspec

Call = Literal["charge", "refund", "status"]
Do = Literal[
    "accept", "decline", "refuse", "pend", "error", "reset", "hang", "throttle", "unavailable", "malformed",
    "redirect",
]  # fmt: skip
Form = Literal["empty", "text", "list", "deep", "other_key", "other_amount", "no_reference", "cut", "huge"]
FORMS: tuple[Form, ...] = (
    "empty", "text", "list", "deep", "other_key", "other_amount", "no_reference", "cut", "huge",
)  # fmt: skip
FOR_EVER = 1e12

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Webhooks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Also tell the answer by webhook: before or after answering, so often, each within so many seconds."""

    when: Literal["before", "after"] = "after"
    copies: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    within_s: Seconds = 0.0


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How some calls are treated; see docs/providers.md."""

    do: Do
    on: tuple[Call, ...] = ("charge", "refund")
    tenant: str | None = None
    account: str = ""
    reference: str = ""
    share: Share = 1.0
    times: Count | None = None
    from_s: Seconds = 0.0
    until_s: Seconds = FOR_EVER
    booked: bool = False
    late_s: Seconds = 0.0
    delay_s: Seconds = 0.0
    jitter_s: Seconds = 0.0
    pend_s: Seconds = 1.0
    reason: str = "declined"
    code: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500
    retry_after_s: Seconds | None = None
    retry_after_date: bool = False
    form: Form | None = None
    webhooks: Webhooks | None = None


ACCEPT = Rule(do="accept", on=("charge", "refund", "status"))


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules in their order. What none of them takes is accepted; of the status, told as it is."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0
    webhook_url: str | None = None


class About(msgspec.Struct, frozen=True):
    """What rules look at in a call."""

    call: Call
    key: str
    tenant: str
    account: str
    reference: str


def rule_for(script: Script, about: About, *, age_s: float, asked: int) -> Rule:
    """Give the rule for a call.

    Of the calls that several rules are about, each rule takes its share, one rule after another. A rule whose
    time is not now, or that has treated this key as often as it may (`asked` times before), leaves its share
    to the default.
    """
    drawn, taken = draw(script.seed, about.call, about.key), 0.0
    for rule in script.rules:
        if not _is_about(rule, about) or not rule.from_s <= age_s < rule.until_s:
            continue
        taken += rule.share
        if drawn < taken:
            return ACCEPT if rule.times is not None and asked >= rule.times else rule
    return ACCEPT


def delay_s(script: Script, rule: Rule, key: str) -> float:
    """Give how long the answer for a key is held back."""
    return rule.delay_s + rule.jitter_s * draw(script.seed, "delay", key)


def form_of(script: Script, rule: Rule, key: str) -> Form:
    """Give in which way an answer is malformed."""
    return rule.form or FORMS[int(draw(script.seed, "form", key) * len(FORMS))]


def draw(seed: int, *what: str) -> float:
    """Draw a number from 0 up to 1: the same for the same seed and words."""
    digest = hashlib.blake2b("\x1f".join((str(seed), *what)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def _is_about(rule: Rule, about: About) -> bool:
    return (
        about.call in rule.on
        and rule.tenant in (None, about.tenant)
        and about.account.startswith(rule.account)
        and about.reference.startswith(rule.reference)
    )
