"""Dead letters as a terminal shows them, and moments as people type them."""

from datetime import UTC, datetime, timedelta

import pytest

from streams.cli.letters import as_text, hex_dump, printable
from streams.cli.moments import MomentFormatError, parse_moment

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize("value", [b"", b'{"a":\n\t1}\r\n', "é ☂".encode()])
def test_text_is_shown_as_text(value: bytes) -> None:
    assert as_text(value) == value.decode()


@pytest.mark.parametrize("value", [b"\xff", b"\x00", b"\x1b[31mred", "a\u202eb".encode(), b"\x07"])
def test_what_could_steer_a_terminal_is_no_text(value: bytes) -> None:
    assert as_text(value) is None


def test_detail_is_shown_without_control_characters() -> None:
    assert printable("é\x1b[2J\n") == "é\\x1b[2J\\n"


def test_bytes_are_dumped_with_their_offsets() -> None:
    first, second = hex_dump(b"\x00abc\xff" + b"." * 11 + b"z")
    assert first == "00000000  00 61 62 63 ff 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e  .abc............"
    assert second.split() == ["00000010", "7a", "z"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T09:00:00Z", NOW - timedelta(hours=1)),
        ("2026-11-21T10:00:00+02:00", NOW - timedelta(hours=2)),
        ("2026-11-21", NOW - timedelta(hours=10)),
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
    ],
)
def test_moments_are_read(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "now", "7w", "-1d", "2026-13-01", "999999d", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(MomentFormatError, match="is no moment"):
        parse_moment(text, NOW)
