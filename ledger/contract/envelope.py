"""The envelope of an event: who sent what, under which id, for which tenant."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ledger.domain.commands import EventId

Tenant = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)")]


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A CloudEvents 1.0 event in JSON structured mode; attributes not named here are ignored."""

    specversion: Literal["1.0"]
    id: EventId
    source: Annotated[str, Meta(min_length=1, max_length=1024)]
    type: Annotated[str, Meta(min_length=1, max_length=256)]
    tenant: Tenant
    data: msgspec.Raw
    time: Annotated[datetime, Meta(tz=True)] | None = None
    traceparent: Annotated[str, Meta(max_length=256)] | None = None
    correlationid: Annotated[str, Meta(max_length=256)] | None = None
