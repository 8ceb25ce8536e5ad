"""Certificate authorities and server certificates for one run: ECDSA, short-lived, made in about a millisecond.

trustme would be the library for this, but its authorities are valid from the year 2000 to 3000, which hides every
fault that has to do with a clock.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BACKDATED = dt.timedelta(days=1)
"""How long before now a certificate becomes valid: a host's clock may be a little behind."""

LIFETIME = dt.timedelta(days=14)
"""How long after now a certificate ends: longer than the longest run, short enough that clocks matter."""

SERVER_USE: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH,)


@dataclass(frozen=True)
class ServerCertificate:
    """What a TLS server presents: its certificate with the chain that follows it, and its key; both PEM."""

    chain_pem: str
    key_pem: str = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make a server's context present it. The ssl module reads keys from files only: this one is in memory."""
        with os.fdopen(os.memfd_create("server.pem"), "w") as pem:
            pem.write(self.chain_pem + self.key_pem)
            pem.flush()
            context.load_cert_chain(f"/proc/self/fd/{pem.fileno()}")


@dataclass(frozen=True)
class Signer:
    """A certificate with its key: able to sign others, if it is allowed to or not."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key, PEM (PKCS #8, not encrypted)."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


class Authority:
    """A certificate authority that lives for one run.

    ``pem`` goes into the profile's ``certificates`` field; :meth:`issue` gives what the registry presents.
    """

    def __init__(self, name: str = "conformance run authority", *, signer: Signer | None = None) -> None:
        self.signer = signer or sign(name, authority=True, path_length=1)

    @property
    def pem(self) -> str:
        """The authority's certificate, PEM."""
        return self.signer.pem

    def issue(self, *names: str) -> ServerCertificate:
        """Issue a certificate for host names and IP addresses; each becomes the kind of alternative name it is.

        Raises :exc:`ValueError` without a name: nothing could verify such a certificate.
        """
        if not names:
            raise ValueError("a server certificate needs a name; give at least one host name or IP address")
        leaf = sign(names[0], by=self.signer, names=[alternative_name(name) for name in names])
        return ServerCertificate(leaf.pem, leaf.key_pem)

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this authority and no other, and checks host names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.pem)
        return context


def alternative_name(name: str) -> x509.GeneralName:
    """Return an IP address for what parses as one and a DNS name for the rest.

    The order matters: every IPv4 address would also pass for a DNS name, and clients then refuse it.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode() if not name.isascii() else name)


def sign(
    subject: str,
    *,
    by: Signer | None = None,
    names: Sequence[x509.GeneralName] = (),
    authority: bool = False,
    path_length: int | None = None,
    usages: Sequence[x509.ObjectIdentifier] = SERVER_USE,
    begins: dt.datetime | None = None,
    ends: dt.datetime | None = None,
    alter: Callable[[x509.CertificateBuilder], x509.CertificateBuilder] | None = None,
) -> Signer:
    """Make a key and a certificate for it, signed by ``by`` or by itself.

    ``names`` are the alternative names (none: no such extension); ``begins`` and ``ends`` default to a day before
    now and :data:`LIFETIME` after it; ``alter`` may change the builder last.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = by.key if by else key
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])  # X.520's upper bound
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.certificate.subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - BACKDATED)
        .not_valid_after(ends or now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usages and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return Signer((alter(builder) if alter else builder).sign(issuer_key, hashes.SHA256()), key)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
