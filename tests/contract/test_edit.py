"""Members of JSON documents set and taken out: what is not named keeps its bytes."""

import pytest

from ledger.contract.edit import NotEditableError, remove_member, set_member

DOCUMENT = b'{"id":"x","data":{"amount":1.50,"entries":[{"amount":1},{"amount":1e400}],"asset":"USD/2"}}'


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("data.amount", "150", b"1.50", b"150"),
        ("data.asset", "EUR/2", b"USD/2", b"EUR/2"),
        ("data.asset", '"7"', b'"USD/2"', b'"7"'),
        ("data.entries.0.amount", "-7", b'{"amount":1}', b'{"amount":-7}'),
        ("id", "é", b'"x"', '"é"'.encode()),
    ],
)
def test_what_is_named_is_set_and_the_rest_keeps_its_bytes(
    path: str, value: str, before: bytes, after: bytes
) -> None:
    assert set_member(DOCUMENT, path, value) == DOCUMENT.replace(before, after)


def test_member_that_is_new_comes_last() -> None:
    assert set_member(b'{"a":{}}', "a.b", "true") == b'{"a":{"b":true}}'


@pytest.mark.parametrize(
    ("path", "gone"), [("data.amount", b'"amount":1.50,'), ("data.entries.0", b'{"amount":1},')]
)
def test_what_is_named_is_taken_out(path: str, gone: bytes) -> None:
    assert remove_member(DOCUMENT, path) == DOCUMENT.replace(gone, b"")


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        (b"nonsense", "a", "no object"),
        (b"\xff", "a", "no object"),
        (b"", "a", "no object"),
        (DOCUMENT, "", "is no path"),
        (DOCUMENT, "data..amount", "is no path"),
        (DOCUMENT, "date.amount", "it has no date"),
        (DOCUMENT, "id.x", "no object"),
        (DOCUMENT, "data.entries.2", "has 2 items"),
        (DOCUMENT, "data.entries.٣", "has 2 items"),
    ],
)
def test_what_cannot_be_set_is_said(document: bytes, path: str, said: str) -> None:
    with pytest.raises(NotEditableError, match=said):
        set_member(document, path, "1")


def test_what_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(NotEditableError, match="it has no nothing"):
        remove_member(DOCUMENT, "data.nothing")
    with pytest.raises(NotEditableError, match=r"^there is no nothing$"):
        remove_member(DOCUMENT, "nothing")
