"""How clients reach Kafka: at which addresses, by which certificates, and as whom."""

import errno
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.config import Settings

PLAINTEXT = "PLAINTEXT"
SASL_SSL = "SASL_SSL"


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Servers as host:port[,host:port], and what their clients show and ask for; as text it is the servers alone."""

    servers: str
    protocol: str = PLAINTEXT
    ca_file: Path | None = None
    mechanism: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.servers

    @property
    def has_credentials(self) -> bool:
        return self.protocol == SASL_SSL

    def ssl_context(self) -> ssl.SSLContext | None:
        """Make what checks the brokers' certificates and names; none where nothing is encrypted. Raises OSError."""
        if self.protocol == PLAINTEXT:
            return None
        if self.ca_file is None:
            return ssl.create_default_context()
        # Read here, so that a fault names the file.
        text = self.ca_file.read_bytes().decode("ascii", "ignore")
        try:
            # An empty text would stand for those whom this machine believes.
            return ssl.create_default_context(cadata=text or "empty")
        except ssl.SSLError as error:
            raise OSError(errno.EINVAL, "no certificate in it can be read", str(self.ca_file)) from error


def kafka_access(settings: Settings, servers: str) -> KafkaAccess:
    """Give the way to `servers` that is set."""
    return KafkaAccess(
        servers,
        settings.kafka_security_protocol,
        settings.kafka_ca_file,
        settings.kafka_sasl_mechanism,
        settings.kafka_sasl_user,
        settings.kafka_sasl_password,
    )


def client_options(kafka: KafkaAccess | str) -> dict[str, Any]:
    """Give the options of any client of aiokafka; plain text is a Kafka that asks nobody. Raises OSError."""
    access = KafkaAccess(kafka) if isinstance(kafka, str) else kafka
    options: dict[str, Any] = {"bootstrap_servers": access.servers, "security_protocol": access.protocol}
    if access.protocol != PLAINTEXT:
        options["ssl_context"] = access.ssl_context()
    if access.has_credentials:
        options["sasl_mechanism"] = access.mechanism
        options["sasl_plain_username"] = access.user
        options["sasl_plain_password"] = access.password
    return options
