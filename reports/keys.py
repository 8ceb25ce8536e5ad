"""Keys that sign certificates: Ed25519 or ECDSA, in the PEM files that other tools write and read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.signer import CryptoSigner, SSlibKey

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE = "CONFORMANCE_KEY_PASSPHRASE"  # noqa: S105  the name of an environment variable
KINDS = ("ed25519", "ecdsa")


class KeyUnusableError(Exception):
    """A key that cannot be used; the message names the file and what would be right."""


def signer(path: Path) -> CryptoSigner:
    """Read a private key; its passphrase, if it has one, comes from ``CONFORMANCE_KEY_PASSPHRASE``."""
    phrase = os.environ.get(PASSPHRASE)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), phrase.encode() if phrase else None)
    except OSError as error:
        raise KeyUnusableError(f"{path}: {error.strerror}; './run keygen FILE' makes one") from None
    except TypeError:
        state = "has no passphrase, but" if phrase else "is encrypted:"
        raise KeyUnusableError(f"{path}: the key {state} {PASSPHRASE} is {'set' if phrase else 'not set'}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusableError(f"{path}: not a private key in PEM form (PKCS #8), or the wrong passphrase") from None
    if not isinstance(key, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)):
        raise KeyUnusableError(f"{path}: neither an Ed25519 nor an ECDSA key")
    try:
        return CryptoSigner(key)
    except ValueError as error:
        raise KeyUnusableError(f"{path}: {error}; use P-256, P-384 or P-521") from None


def public_key(path: Path) -> SSlibKey:
    """Read a public key."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyUnusableError(f"{path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusableError(f"{path}: not a public key in PEM form") from None
    if not isinstance(key, (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey)):
        raise KeyUnusableError(f"{path}: neither an Ed25519 nor an ECDSA key")
    try:
        return SSlibKey.from_crypto(key)
    except ValueError as error:
        raise KeyUnusableError(f"{path}: {error}; use P-256, P-384 or P-521") from None


def generate(path: Path, kind: str = "ed25519") -> Path:
    """Make a key pair: ``path`` (readable by its owner only) and, beside it, ``path`` with ``.pub``; give the latter.

    Raises KeyUnusableError if one of the files exists: a key is never overwritten.
    """
    public = path.with_name(f"{path.name}.pub")
    new = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    phrase = os.environ.get(PASSPHRASE)
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if phrase:
        protection = serialization.BestAvailableEncryption(phrase.encode())
    form = serialization.PrivateFormat.PKCS8
    _create(path, new.private_bytes(serialization.Encoding.PEM, form, protection), 0o600)
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    _create(public, new.public_key().public_bytes(serialization.Encoding.PEM, shape), 0o644)
    return public


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except FileExistsError:
        raise KeyUnusableError(f"{path}: exists; a key is never overwritten, name another file") from None
    except OSError as error:
        raise KeyUnusableError(f"{path}: {error.strerror}") from None
