"""What `ledger send` says of a line that lacks what it could supply itself."""

import pytest

from streams.sending import FILL_HINT, read_lines

BARE = b'{"type":"hold.void.v1","tenant":"acme","data":{"hold":"01a1fd8c-6900-77dc-a235-639215ca5234"}}'


@pytest.mark.parametrize(
    ("text", "fill", "is_hinted"),
    [
        pytest.param(BARE, False, True, id="only what can be supplied is missing"),
        pytest.param(BARE.replace(b'"acme"', b"7"), False, False, id="something else is wrong"),
        pytest.param(BARE.replace(b'"acme"', b"7"), True, False, id="it was supplied already"),
        pytest.param(b"{", False, False, id="no JSON"),
    ],
)
def test_fill_is_named_where_it_would_help(text: bytes, fill: bool, is_hinted: bool) -> None:
    [line] = read_lines([text], fill=fill)
    assert ((line.fault or "").endswith(FILL_HINT), line.fault is None) == (is_hinted, False)
