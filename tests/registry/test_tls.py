from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from registry.flawed_certificates import SETUPS, Setup, make
from registry.tls import Authority, ServerCertificate


def handshake(server: ServerCertificate, client: ssl.SSLContext, host: str, directory: Path) -> None:
    """Shake hands in memory, as a client that expects ``host``; raises what the client raises."""
    pem = directory / "server.pem"
    pem.write_text(server.chain_pem + server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = context.wrap_bio(to_server, to_client, server_side=True)
    calling = client.wrap_bio(to_client, to_server, server_hostname=host)
    for side in (calling, serving, calling, serving):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()


def openssl_accepts(setup: Setup, host: str, directory: Path) -> bool:
    """Return whether OpenSSL, trusting nothing but the set-up's text, accepts the set-up's server as ``host``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False  # Python's default still looks there, Go's clients do not
    bundle = directory / "trusted.pem"
    bundle.write_text(setup.trusted_pem, newline="")
    try:
        if setup.trusted_pem:
            context.load_verify_locations(bundle)
        handshake(setup.server, context, host, directory)
    except (ssl.SSLError, ValueError):
        return False
    return True


def test_a_certificate_is_valid_around_now_and_not_for_centuries() -> None:
    """Authority and certificates begin about a day ago and end within weeks, so that clocks matter."""
    authority = Authority()
    for pem in (authority.pem, authority.issue("localhost").chain_pem):
        certificate = x509.load_pem_x509_certificate(pem.encode())
        now = dt.datetime.now(dt.UTC)

        assert now - dt.timedelta(days=2) < certificate.not_valid_before_utc < now
        assert now + dt.timedelta(days=1) < certificate.not_valid_after_utc < now + dt.timedelta(days=31)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "registry.example.org"])
def test_names_and_addresses_get_the_kind_of_alternative_name_they_are(host: str, tmp_path: Path) -> None:
    """A certificate issued for several names and addresses is accepted under each of them."""
    authority = Authority()
    certificate = authority.issue("localhost", "127.0.0.1", "::1", "registry.example.org")

    handshake(certificate, authority.client_context(), host, tmp_path)


def test_an_authority_can_be_taken_up_again() -> None:
    """An authority made of another one's certificate and key issues certificates that the first one's clients trust."""
    first = Authority()

    assert Authority(signer=first.signer).pem == first.pem


def test_a_certificate_needs_a_name() -> None:
    """A certificate for nobody is refused."""
    with pytest.raises(ValueError, match="needs a name"):
        Authority().issue()


@pytest.mark.parametrize("host", ["registry.example.org", "127.0.0.1"])
@pytest.mark.parametrize("name", list(SETUPS))
def test_a_set_up_is_what_it_says(name: str, host: str, tmp_path: Path) -> None:
    """A careful client accepts every set-up called valid and refuses every one called invalid."""
    setup = make(name, host)
    accepted = openssl_accepts(setup, host, tmp_path)

    assert setup.verdict == "acceptable" or accepted == (setup.verdict == "valid")


def test_an_unknown_set_up_is_refused_with_the_names_there_are() -> None:
    """Asking for a set-up that does not exist names those that do."""
    with pytest.raises(ValueError, match="well-formed"):
        make("no-such-thing", "localhost")


def test_keys_do_not_show_in_texts() -> None:
    """The text of a certificate object does not hold its key."""
    authority = Authority()

    assert "PRIVATE" not in repr(authority.issue("localhost"))
    assert "PRIVATE" not in repr(authority.signer)
