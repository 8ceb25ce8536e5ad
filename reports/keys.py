"""Keys that sign certificates: Ed25519, in the PEM files that other tools write and read."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bounded import file_content

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE = "CONFORMANCE_KEY_PASSPHRASE"  # noqa: S105  the name of an environment variable


class KeyUnusableError(Exception):
    """A key that cannot be used; the message names the file and what would be right."""


def signer(path: Path) -> Ed25519PrivateKey:
    """Read a private key; its passphrase, if it has one, comes from ``CONFORMANCE_KEY_PASSPHRASE``."""
    phrase = os.environ.get(PASSPHRASE)
    try:
        key = serialization.load_pem_private_key(file_content(path), phrase.encode() if phrase else None)
    except OSError as error:
        raise KeyUnusableError(f"{path}: {error.strerror}; './run keygen FILE' makes one") from None
    except TypeError:
        state = "has no passphrase, but" if phrase else "is encrypted:"
        raise KeyUnusableError(f"{path}: the key {state} {PASSPHRASE} is {'set' if phrase else 'not set'}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusableError(f"{path}: not a private key in PEM form (PKCS #8), or the wrong passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusableError(f"{path}: not an Ed25519 key; './run keygen FILE' makes one")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key."""
    try:
        key = serialization.load_pem_public_key(file_content(path))
    except OSError as error:
        raise KeyUnusableError(f"{path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusableError(f"{path}: not a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusableError(f"{path}: not an Ed25519 key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return what a person tells keys apart by: sixteen digits of the SHA-256 digest of the key's bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def generate(path: Path) -> Path:
    """Make a key pair: ``path`` (readable by its owner only) and, beside it, ``path`` with ``.pub``; return the latter.

    Raises KeyUnusableError if one of the files exists: a key is never overwritten.
    """
    public = path.with_name(f"{path.name}.pub")
    new = Ed25519PrivateKey.generate()
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
