from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reports import keys


@pytest.mark.parametrize("phrase", [None, "open sesame"])
def test_a_generated_pair_fits_and_is_kept_private(
    tmp_path: Path, phrase: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key, with a passphrase or without, is read back; only the owner may read the private one."""
    if phrase:
        monkeypatch.setenv(keys.PASSPHRASE, phrase)
    public = keys.generate(tmp_path / "key")

    assert keys.signer(tmp_path / "key").public_key() == keys.public_key(public)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert (b"ENCRYPTED" in (tmp_path / "key").read_bytes()) is bool(phrase)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Making a key where one is kept leaves the old one."""
    keys.generate(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()

    with pytest.raises(keys.KeyUnusableError, match="never overwritten"):
        keys.generate(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_an_encrypted_key_without_its_passphrase_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable to set; a wrong passphrase is told as such."""
    with monkeypatch.context() as patch:
        patch.setenv(keys.PASSPHRASE, "right")
        keys.generate(tmp_path / "key")

    with pytest.raises(keys.KeyUnusableError, match="CONFORMANCE_KEY_PASSPHRASE is not set"):
        keys.signer(tmp_path / "key")
    monkeypatch.setenv(keys.PASSPHRASE, "wrong")
    with pytest.raises(keys.KeyUnusableError, match="wrong passphrase"):
        keys.signer(tmp_path / "key")


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """RSA keys and those of other curves are refused with what would be right."""
    others: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "k1": ec.generate_private_key(ec.SECP256K1()),
    }
    for name, key in others.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / name).write_bytes(pem)
        with pytest.raises(keys.KeyUnusableError, match="not an Ed25519 key"):
            keys.signer(tmp_path / name)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PUBLIC KEY-----\nrubbish\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    """A missing or unreadable file is named, whichever key it should hold."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    for read in (keys.signer, keys.public_key):
        with pytest.raises(keys.KeyUnusableError, match=str(path)):
            read(path)
