"""What a worker tells others of where it is."""

import socket

import pytest

from streams.health import own_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("worker-1.local", "http://worker-1.local:80"),
    ],
)
def test_a_host_is_told_as_it_is(host: str, url: str) -> None:
    assert own_url(host, 80) == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_who_listens_everywhere_tells_an_address_that_can_be_reached(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    assert own_url(host, 80) == "http://127.0.0.1:80"
