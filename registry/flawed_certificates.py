# ruff: noqa: D401 - each docstring is a sentence about the set-up, and is shown to users as such
"""TLS set-ups that are wrong, or unusual in one respect: what a server presents and what the client is told to trust.

Each function or row makes one set-up for a registry that is reached as ``host`` and says in one sentence what is
special about it; :data:`SETUPS` lists them by name. It follows classes C-01 to C-13 of docs/vectors.md.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from foreign import is_ip
from registry.tls import Authority, ServerCertificate, Signer, alternative_name, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HOUR = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)

Verdict = Literal["valid", "invalid", "acceptable"]


@dataclass(frozen=True)
class Setup:
    """What the server presents, what the client is given as authorities (PEM), and whether that may work.

    ``acceptable`` means that careful clients differ: the case records what happened.
    """

    server: ServerCertificate
    trusted_pem: str
    verdict: Verdict


@dataclass(frozen=True)
class CertificateRecipe:
    """One set-up of the catalogue: its name, what is special about it, and the function that makes it."""

    name: str
    comment: str
    make: Callable[[str], Setup]


SETUPS: dict[str, CertificateRecipe] = {}
"""Every set-up by name, in the order of this file."""


def _setup(function: Callable[[str], Setup]) -> Callable[[str], Setup]:
    name = function.__name__.replace("_", "-")
    SETUPS[name] = CertificateRecipe(name, (function.__doc__ or "").strip(), function)
    return function


def _chain(*signers: Signer) -> ServerCertificate:
    """Present the first signer's certificate, followed by the others' as they are given."""
    return ServerCertificate("".join(signer.pem for signer in signers), signers[0].key_pem)


def _leaf(host: str, by: Signer, **wishes: object) -> Signer:
    return sign(host, **{"by": by, "names": [alternative_name(host)], **wishes})  # type: ignore[arg-type]


@_setup
def well_formed(host: str) -> Setup:
    """Nothing is wrong: the control."""
    authority = Authority()
    return Setup(authority.issue(host), authority.pem, "valid")


# --- time -----------------------------------------------------------------------------------------------------------


@_setup
def expired(host: str) -> Setup:
    """The server's certificate ended an hour ago."""
    authority, now = Authority(), dt.datetime.now(dt.UTC)
    leaf = _leaf(host, authority.signer, begins=now - 30 * _DAY, ends=now - _HOUR)
    return Setup(_chain(leaf), authority.pem, "invalid")


@_setup
def not_yet_valid(host: str) -> Setup:
    """The server's certificate begins tomorrow; a host whose clock is wrong sees good ones this way."""
    authority, now = Authority(), dt.datetime.now(dt.UTC)
    leaf = _leaf(host, authority.signer, begins=now + _DAY, ends=now + 30 * _DAY)
    return Setup(_chain(leaf), authority.pem, "invalid")


@_setup
def expired_authority(host: str) -> Setup:
    """The server's certificate is good, its authority ended an hour ago."""
    now = dt.datetime.now(dt.UTC)
    authority = sign("ended authority", authority=True, begins=now - 30 * _DAY, ends=now - _HOUR)
    return Setup(_chain(_leaf(host, authority)), authority.pem, "invalid")


# --- names ----------------------------------------------------------------------------------------------------------


@_setup
def wrong_name(host: str) -> Setup:
    """The certificate is for another host."""
    del host  # another one is the point
    authority = Authority()
    return Setup(authority.issue("another-registry.example.org"), authority.pem, "invalid")


@_setup
def no_alternative_name(host: str) -> Setup:
    """The certificate has neither alternative names nor the host as its common name."""
    del host
    authority = Authority()
    return Setup(_chain(sign("registry", by=authority.signer)), authority.pem, "invalid")


@_setup
def common_name_only(host: str) -> Setup:
    """The host stands in the common name alone, which clients have not read since RFC 6125 and Go 1.15."""
    authority = Authority()
    return Setup(_chain(sign(host, by=authority.signer)), authority.pem, "invalid")


@_setup
def address_as_dns_name(host: str) -> Setup:
    """The IP address is written as a DNS name, the usual repair that repairs nothing."""
    authority = Authority()
    leaf = _leaf(host, authority.signer, names=[x509.DNSName(host)])
    return Setup(_chain(leaf), authority.pem, "invalid" if is_ip(host) else "valid")


@_setup
def wildcard(host: str) -> Setup:
    """The certificate is for every host of the domain; an IP address never matches one."""
    authority = Authority()
    domain = "example.org" if is_ip(host) else host.partition(".")[2]
    leaf = _leaf(host, authority.signer, names=[x509.DNSName(f"*.{domain}" if domain else "*")])
    verdict: Verdict = "invalid" if is_ip(host) or not domain else "valid" if "." in domain else "acceptable"
    return Setup(_chain(leaf), authority.pem, verdict)


@_setup
def many_names(host: str) -> Setup:
    """The right name is the last of sixty."""
    authority = Authority()
    others = [f"mirror-{number}.example.org" for number in range(59)]
    return Setup(authority.issue(*others, host), authority.pem, "valid")


# --- authorities ----------------------------------------------------------------------------------------------------


@_setup
def unknown_authority(host: str) -> Setup:
    """The client trusts an authority that has nothing to do with the server."""
    return Setup(Authority().issue(host), Authority("another authority").pem, "invalid")


@_setup
def same_name_other_key(host: str) -> Setup:
    """The trusted authority has the right name and another key: what a re-created authority looks like."""
    return Setup(Authority().issue(host), Authority().pem, "invalid")


@_setup
def no_authority(host: str) -> Setup:
    """The client is given no certificate at all, and the server's authority is not a public one."""
    return Setup(Authority().issue(host), "", "invalid")


@_setup
def authority_without_ca_flag(host: str) -> Setup:
    """The authority says CA:FALSE of itself and signs all the same."""
    authority = sign("not an authority", names=[x509.DNSName("authority.example.org")])
    return Setup(_chain(_leaf(host, authority)), authority.pem, "invalid")


@_setup
def path_too_long(host: str) -> Setup:
    """The root allows no intermediate, and there is one."""
    root = sign("strict root", authority=True, path_length=0)
    middle = sign("intermediate", by=root, authority=True)
    return Setup(_chain(_leaf(host, middle), middle), root.pem, "invalid")


@_setup
def client_certificate(host: str) -> Setup:
    """The certificate is meant for clients only (extended key usage)."""
    authority = Authority()
    leaf = _leaf(host, authority.signer, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    return Setup(_chain(leaf), authority.pem, "invalid")


@_setup
def self_signed(host: str) -> Setup:
    """The server's certificate is self-signed, an authority by its own word, and trusted itself."""
    leaf = sign(host, names=[alternative_name(host)], authority=True)
    return Setup(_chain(leaf), leaf.pem, "valid")


@_setup
def self_signed_leaf(host: str) -> Setup:
    """The server's certificate is self-signed, says CA:FALSE, and is trusted itself: clients differ about it."""
    leaf = sign(host, names=[alternative_name(host)])
    return Setup(_chain(leaf), leaf.pem, "acceptable")


@_setup
def self_signed_untrusted(host: str) -> Setup:
    """The server's certificate is self-signed and the client trusts another authority."""
    return Setup(_chain(sign(host, names=[alternative_name(host)])), Authority().pem, "invalid")


# --- chains ---------------------------------------------------------------------------------------------------------


def _of_chain(presented: str, trusted: str, verdict: Verdict) -> Callable[[str], Setup]:
    def make(host: str) -> Setup:
        root = sign("root authority", authority=True)
        middle = sign("intermediate authority", by=root, authority=True, path_length=0)
        chain = {"root": root, "middle": middle, "leaf": _leaf(host, middle)}
        server = _chain(*(chain[part] for part in presented.split()))
        return Setup(server, "".join(chain[part].pem for part in trusted.split()), verdict)

    return make


_CHAINS: tuple[tuple[str, str, str, Verdict, str], ...] = (
    ("with-intermediate", "leaf middle", "root", "valid",
     "The server presents its certificate and the intermediate; the client trusts the root."),
    ("whole-chain", "leaf middle root", "root", "valid",
     "The server presents the root, too, which is allowed and useless."),
    ("chain-out-of-order", "leaf root middle", "root", "valid",
     "After its own certificate the server presents the root before the intermediate; TLS 1.3 tells clients to cope."),
    ("chain-with-duplicates", "leaf middle middle", "root", "valid",
     "The server presents the intermediate twice."),
    ("missing-intermediate", "leaf", "root", "invalid",
     "The server leaves the intermediate out and the client knows the root only."),
    ("intermediate-in-the-bundle", "leaf", "root middle", "valid",
     "The server leaves the intermediate out; the client's bundle has it beside the root."),
    ("intermediate-trusted-alone", "leaf middle", "middle", "acceptable",
     "The client trusts the intermediate and not the root: enough for Go, not for OpenSSL without partial chains."),
)  # fmt: skip
for _name, _presented, _trusted, _verdict, _comment in _CHAINS:
    SETUPS[_name] = CertificateRecipe(_name, _comment, _of_chain(_presented, _trusted, _verdict))


# --- the form of the trusted text -----------------------------------------------------------------------------------


def _written(rewrite: Callable[[str], str], verdict: Verdict) -> Callable[[str], Setup]:
    def make(host: str) -> Setup:
        authority = Authority()
        return Setup(authority.issue(host), rewrite(authority.pem), verdict)

    return make


def _among_others(pem: str) -> str:
    return Authority("first").pem + pem + Authority("last").pem


def _with_dashes(pem: str) -> str:
    lines = pem.splitlines()
    return "\n".join([*lines[:2], "-" * 64, *lines[-2:], ""])


_FORMS: tuple[tuple[str, Verdict, str, Callable[[str], str]], ...] = (
    ("several-authorities", "valid", "The right authority is the second of three.", _among_others),
    ("authority-twice", "valid", "The right authority stands there twice.", lambda pem: pem + pem),
    ("windows-line-ends", "valid", "Lines end in CR LF.", lambda pem: pem.replace("\n", "\r\n")),
    ("no-last-line-end", "valid", "The last line has no line end.", str.rstrip),
    ("blank-lines-around", "valid", "Blank lines stand before and after the certificate.",
     lambda pem: f"\n\n{pem}\n\n"),
    ("trailing-blanks", "acceptable", "Every line ends in blanks.", lambda pem: pem.replace("\n", "  \n")),
    ("indented", "acceptable", "Every line is indented, as when a YAML block is cut out by hand.",
     lambda pem: textwrap.indent(pem, "    ")),
    ("explained", "valid", "Text stands before the certificate, as `openssl x509 -text` writes it.",
     lambda pem: f"subject=CN = conformance run authority\n# internal root\n{pem}"),
    ("byte-order-mark", "acceptable", "A byte order mark stands before the first line.", lambda pem: f"\ufeff{pem}"),
    ("one-line", "invalid", "All line ends were lost, as in an environment variable.",
     lambda pem: pem.replace("\n", "")),
    ("escaped-line-ends", "invalid",
     r"Line ends are the two characters ``\n``, as when JSON text is pasted into YAML.",
     lambda pem: pem.replace("\n", "\\n")),
    ("cut-short", "invalid", "The second half of the certificate is missing.", lambda pem: pem[: len(pem) // 2]),
    ("documentation-sample", "invalid",
     "A line of dashes stands in the middle, as the vendor's guide prints its sample.", _with_dashes),
)  # fmt: skip
for _name, _verdict, _comment, _rewrite in _FORMS:
    SETUPS[_name] = CertificateRecipe(_name, _comment, _written(_rewrite, _verdict))


def make(name: str, host: str) -> Setup:
    """Make the set-up called ``name`` for a registry reached as ``host``.

    Raises :exc:`ValueError` for an unknown name, with the names there are.
    """
    recipes: Mapping[str, CertificateRecipe] = SETUPS
    if name not in recipes:
        raise ValueError(f"no TLS set-up is called {name!r}; there are: {', '.join(recipes)}")
    return recipes[name].make(host)
