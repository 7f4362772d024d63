"""What comes in by path and query, held to the contract's patterns; what is not known is refused."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.json_schema import WithJsonSchema

from ledger.domain.money import asset_fault

ACCOUNT_PATTERN = r"^[A-Za-z0-9_.:-]{1,128}$"
PREFIX_PATTERN = r"^[A-Za-z0-9_.:-]{0,128}$"
ASSET_PATTERN = r"^[A-Z][A-Z0-9]{0,16}/(0|[1-9][0-9]?)$"
ID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
CURSOR_PATTERN = r"^[A-Za-z0-9_-]{1,512}$"
LIMIT_MAX = 500
LIMIT_DEFAULT = 50

EXAMPLE_ID = "019aa5e2-f280-77dc-a235-639215ca5234"
EXAMPLE_TIME = "2026-11-21T10:00:00Z"

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _moment(text: Any) -> datetime:
    """Read RFC 3339 with an offset, in UTC; a leap second is the second after it."""
    if not isinstance(text, str) or _MOMENT.fullmatch(text) is None:
        raise ValueError("a time is RFC 3339 with an offset, as in 2026-11-21T10:00:00Z")
    is_leap = text[17:19] == "60"
    try:
        moment = datetime.fromisoformat(text[:17] + "59" + text[19:] if is_leap else text)
        return moment.astimezone(UTC) + timedelta(seconds=is_leap)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time") from error


def _known_scale(asset: str) -> str:
    if (fault := asset_fault(asset)) is not None:
        raise ValueError(fault)
    return asset


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Asset = Annotated[str, StringConstraints(pattern=ASSET_PATTERN), AfterValidator(_known_scale)]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN), AfterValidator(str.lower)]

AccountInPath = Annotated[
    str, Path(pattern=ACCOUNT_PATTERN, description="The account's code.", examples=["customer:ann"])
]
EventInPath = Annotated[Id, Path(description="The event's id.", examples=[EXAMPLE_ID])]
TransactionInPath = Annotated[
    Id, Path(description="The id of the event that posted it.", examples=[EXAMPLE_ID])
]
HoldInPath = Annotated[Id, Path(description="The id of the event that placed it.", examples=[EXAMPLE_ID])]
ProviderInPath = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_.:-]{1,128}$", description="The name of the provider.", examples=["simulated"]
    ),
]
PaymentInPath = Annotated[Id, Path(description="The id of its request.", examples=[EXAMPLE_ID])]

_ASSET = Field(description="Code and scale.", examples=["USD/2"])
_OPTIONAL_ASSET = Field(None, description="Only this asset.", examples=["USD/2"])
_FROM = Field(None, alias="from", description="From this time on.", examples=[EXAMPLE_TIME])
_TO = Field(None, description="Before this time.", examples=["2026-11-22T10:00:00Z"])


class Parameters(BaseModel):
    """Parameters of a query; one that is not known is refused, for it would silently mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageParameters(Parameters):
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="At most so many items.")
    cursor: str | None = Field(
        None,
        pattern=CURSOR_PATTERN,
        description="`next_cursor` of the page before; the other parameters must be the same.",
    )


class AccountsParameters(PageParameters):
    prefix: str = Field("", pattern=PREFIX_PATTERN, description="How codes begin.", examples=["customer:"])


class PaymentsParameters(PageParameters):
    state: (
        Literal[
            "funds_held",
            "charging",
            "charged",
            "releasing",
            "refunding",
            "needs_operator",
            "settled",
            "released",
            "expired",
            "refunded",
        ]
        | None
    ) = Field(None, description="Only those in this state.", examples=["needs_operator"])


class StatementParameters(PageParameters):
    asset: Asset | None = _OPTIONAL_ASSET
    since: Moment | None = _FROM
    to: Moment | None = _TO


class WindowsParameters(PageParameters):
    asset: Asset = _ASSET
    size: Literal["1m", "1h", "1d"] = Field("1h", description="A minute, an hour, a day, in UTC.")
    since: Moment | None = _FROM
    to: Moment | None = _TO


class BalanceParameters(Parameters):
    asset: Asset = _ASSET
    consistency: Literal["strong", "cached", "eventual"] = Field(
        "strong",
        description="`strong`: the books themselves. `cached`: a little old. `eventual`: the stream.",
    )
    at: Moment | None = Field(
        None,
        description="As it stood at this time, by posted_at; only with `strong`.",
        examples=[EXAMPLE_TIME],
    )


class TrialBalanceParameters(Parameters):
    asset: Asset | None = _OPTIONAL_ASSET


class TimelineParameters(Parameters):
    after: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="Only lines with greater numbers: `timeline_next` of the last page.",
    )


class NoParameters(Parameters):
    """A query that takes none."""


TimelineQuery = Annotated[TimelineParameters, Query()]
PaymentsQuery = Annotated[PaymentsParameters, Query()]
AccountsQuery = Annotated[AccountsParameters, Query()]
StatementQuery = Annotated[StatementParameters, Query()]
WindowsQuery = Annotated[WindowsParameters, Query()]
BalanceQuery = Annotated[BalanceParameters, Query()]
TrialBalanceQuery = Annotated[TrialBalanceParameters, Query()]
EmptyQuery = Annotated[NoParameters, Query()]
