"""Bodies of events: one or a batch, as bytes that nothing has changed; and how long the sender wants to wait."""

import re

import msgspec
from starlette.requests import Request

from ledger.api.problems import InvalidEventsProblemError, MalformedJsonError, UnsupportedMediaTypeError

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
WAIT_S_MAX = 30

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_WAIT = re.compile(r'wait\s*=\s*(?:"(\d{1,9})"|(\d{1,9}))\s*(?:;.*)?', re.IGNORECASE | re.ASCII)


async def read_events(request: Request, events_max: int) -> tuple[list[bytes], bool]:
    """Read the body: the bytes of each event, and whether it came alone."""
    kind = _media_type(request)
    body = await request.body()
    if kind == ONE:
        return [body], True
    values = _elements(body)
    if not 1 <= len(values) <= events_max:
        raise InvalidEventsProblemError(
            f"A batch has 1 to {events_max} events, not {len(values)}.", faults=[]
        )
    return values, False


def wait_of(request: Request) -> int | None:
    """Read `Prefer: wait=S` (RFC 7240), at most 30 seconds; None: it is not there, or not understood."""
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            if found := _WAIT.fullmatch(preference.strip()):
                return min(int(found[1] or found[2]), WAIT_S_MAX)
    return None


def _media_type(request: Request) -> str:
    """Give the type of the body; JSON is UTF-8, and is not compressed here."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if kind not in (ONE, BATCH) or charset not in ("", "charset=utf-8"):
        raise UnsupportedMediaTypeError(
            f"A body is {ONE} or {BATCH}, in UTF-8.", headers={"Accept-Post": _BOTH}
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("A body is not compressed.", headers={"Accept-Encoding": "identity"})
    return kind


def _elements(body: bytes) -> list[bytes]:
    try:
        return [bytes(each) for each in _raws.decode(body)]
    except msgspec.ValidationError as error:
        raise InvalidEventsProblemError("A batch is an array of events.", faults=[]) from error
    except RecursionError as error:
        raise MalformedJsonError("The body is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJsonError(str(error)) from error


_BOTH = f"{ONE}, {BATCH}"
