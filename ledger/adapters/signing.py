"""Signatures by Ed25519: who has the private key says so, and whoever has the public one can tell."""

from base64 import b64decode, b64encode
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class SigningKeyError(ValueError):
    """A text is no Ed25519 key in PEM, or one that is locked by a password."""


def new_key() -> tuple[bytes, bytes]:
    """Make a key: the private and the public part, in PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Signer:
    """Signs with a private key; raises SigningKeyError for a PEM that is none."""

    def __init__(self, private_pem: bytes) -> None:
        try:
            key = load_pem_private_key(private_pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
            raise SigningKeyError("it is no private key in PEM without a password") from fault
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError("it is no private key of Ed25519")
        self._key = key

    @property
    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def __call__(self, body: bytes) -> str:
        """Give the signature in base64."""
        return b64encode(self._key.sign(body)).decode()


class Signatures:
    """Tells signatures by any of some public keys; raises SigningKeyError for a PEM that is none."""

    def __init__(self, public_pems: Sequence[bytes]) -> None:
        self._keys = [_public(pem) for pem in public_pems]

    def __call__(self, body: bytes, signature: str) -> bool:
        """Tell whether one of the keys signed these bytes."""
        return any(_signed(key, body, signature) for key in self._keys)


def _public(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise SigningKeyError("it is no public key in PEM") from fault
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError("it is no public key of Ed25519")
    return key


def _signed(key: Ed25519PublicKey, body: bytes, signature: str) -> bool:
    try:
        key.verify(b64decode(signature, validate=True), body)
    except (InvalidSignature, ValueError):
        return False
    return True
