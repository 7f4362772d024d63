"""What a worker tells others of where it is."""

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
    assert own_url(host, 80, "kafka:9092") == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_who_listens_everywhere_tells_the_address_that_kafka_sees(host: str) -> None:
    assert own_url(host, 80, "127.0.0.1:9092,elsewhere:9092") == "http://127.0.0.1:80"
    assert own_url(host, 80, "[::1]:9092") == "http://[::1]:80"
