"""Pages: opaque cursors, each good for one query only."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from ledger.api.parameters import ACCOUNT_PATTERN, ASSET_PATTERN
from ledger.api.problems import InvalidCursorError

_VERSION = 1
_DIGEST_BYTES = 9

Code = Annotated[str, msgspec.Meta(pattern=ACCOUNT_PATTERN)]
AssetCode = Annotated[str, msgspec.Meta(pattern=ASSET_PATTERN)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Microseconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
"""Since 1970; the years 1 to 9999."""
Seconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800, le=253_402_300_799)]

Place = TypeVar("Place", bound=msgspec.Struct)


class Cursors(Generic[Place]):
    """Writes and reads the cursors of one route, whose pages end at a `Place`."""

    def __init__(self, route: str, place: type[Place]) -> None:
        self._route = route
        self._decoder = msgspec.json.Decoder(tuple[int, str, place], strict=True)  # type: ignore[valid-type]

    def write(self, place: Place, *query: Any) -> str:
        """Write where a page of `query` ends."""
        body = msgspec.json.encode((_VERSION, self._digest(query), place))
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    def read(self, cursor: str | None, *query: Any) -> Place | None:
        """Read where the page before has ended; None for the first. Raises InvalidCursorError."""
        if cursor is None:
            return None
        try:
            body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            version, digest, place = self._decoder.decode(body)
        except (ValueError, msgspec.DecodeError) as error:
            raise InvalidCursorError("The cursor is not one that this API wrote.") from error
        if (version, digest) != (_VERSION, self._digest(query)):
            raise InvalidCursorError("The cursor belongs to another query: repeat its other parameters.")
        found: Place = place
        return found

    def _digest(self, query: Sequence[Any]) -> str:
        said = msgspec.json.encode((self._route, query))
        return base64.b64encode(hashlib.sha256(said).digest()[:_DIGEST_BYTES]).decode()
