"""How Kafka is reached, as settings say it: nobody is left unprotected without being told."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import AuthProtocol
from pydantic import ValidationError

from ledger.adapters.kafka.access import KafkaAccess, client_options, kafka_access
from ledger.config import Settings
from streams.cli.away import file_fault
from streams.transport.app import chunked_app
from tests.fakes import RememberedSignals

SERVER = "kafka.example:9093"
SCRAM = {
    "kafka_bootstrap": SERVER,
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_user": "ledger",
    "kafka_sasl_password": "marked",
}


def settings(**given: Any) -> Settings:
    return Settings(**given)


def access(**given: Any) -> KafkaAccess:
    return kafka_access(settings(**given), SERVER)


def test_by_default_nothing_is_encrypted() -> None:
    assert client_options(access()) == {"bootstrap_servers": SERVER, "security_protocol": "PLAINTEXT"}


def test_certificates_and_names_of_brokers_are_checked() -> None:
    context = client_options(access(**SCRAM))["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_user_is_shown_over_tls_only() -> None:
    options = client_options(access(**SCRAM))
    assert options["security_protocol"] == "SASL_SSL"
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "ledger")


def test_a_password_is_not_in_what_is_printed_of_it() -> None:
    assert "marked" not in f"{access(**SCRAM)} {access(**SCRAM)!r}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kafka_security_protocol": "SASL_PLAINTEXT"}, "kafka_security_protocol"),
        ({"kafka_security_protocol": "SSL"}, "set LEDGER_KAFKA_BOOTSTRAP"),
        ({**SCRAM, "kafka_sasl_user": None}, "needed with SASL_SSL"),
        ({**SCRAM, "kafka_sasl_password": None}, "needed with SASL_SSL"),
        ({**SCRAM, "kafka_security_protocol": "SSL"}, "not needed with SSL"),
        ({"kafka_sasl_password": "marked"}, "not needed with PLAINTEXT"),
        ({**SCRAM, "kafka_sasl_mechanism": "GSSAPI"}, "kafka_sasl_mechanism"),
    ],
    ids=str,
)
def test_settings_that_protect_nothing_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**given)


@pytest.mark.parametrize("content", [None, b"", b"none", b"\xff", b"-----BEGIN CERTIFICATE-----\nno\n"])
def test_a_file_without_authorities_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OSError, match=r"ca\.pem") as caught:
        client_options(access(**SCRAM, kafka_ca_file=file))
    assert file_fault(caught.value) is not None


def test_faust_shows_the_user_over_tls_only() -> None:
    found = chunked_app("group", settings(**SCRAM), RememberedSignals(), ["t"]).conf.broker_credentials
    assert isinstance(found, SASLCredentials)
    assert (found.protocol, found.ssl_context is None) == (AuthProtocol.SASL_SSL, False)


def test_faust_encrypts_without_a_user() -> None:
    given = {"kafka_bootstrap": SERVER, "kafka_security_protocol": "SSL"}
    found = chunked_app("group", settings(**given), RememberedSignals(), ["t"]).conf.broker_credentials
    assert isinstance(found, SSLCredentials)
    assert found.context.check_hostname
