"""How far the lab's agent lets a login go."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from docker import DockerClient

from lab.agent import scope
from lab.agent.puller import PullFailed
from lab.agent.secret import Credential
from registry.tls import Authority
from registry.token_realm import TokenRealm, TokenRegistry, serving

Start = Callable[..., AbstractContextManager[TokenRegistry]]


@pytest.fixture
def token_registry(engine: DockerClient) -> Start:
    """Start a registry whose realm is told to be at a host, with or without TLS."""

    @contextmanager
    def start(host: str = "127.0.0.1", *, tls: bool = True) -> Iterator[TokenRegistry]:
        authority = Authority()
        certificate = authority.issue(host) if tls else None
        with (
            serving(TokenRealm("127.0.0.1", certificate, host)) as realm,
            TokenRegistry(engine, realm, authority=authority) as registry,
        ):
            yield registry

    return start


def asked(registry: TokenRegistry, tmp_path: Path, named: str | None = None) -> Credential | None:
    """Ask which login may be sent for an image of this registry, given for the registry ``named``."""
    trust = tmp_path / "ca.crt"
    trust.write_text(registry.authority.pem)
    credential = Credential(str(registry.address) if named is None else named, "edge", "p!")
    return scope.login_for(f"{registry.address}/a/b:c", credential, trust)


def test_a_login_goes_to_its_registry_and_a_realm_beside_it(token_registry: Start, tmp_path: Path) -> None:
    """A realm at the registry's own host, over TLS, may have the login; another registry, or another port, may not."""
    with token_registry() as registry:
        assert asked(registry, tmp_path) is not None
        assert asked(registry, tmp_path, named=f"{registry.address}/project") is not None
        assert asked(registry, tmp_path, named="127.0.0.1:9") is None
        assert asked(registry, tmp_path, named="registry.example") is None


def test_a_realm_elsewhere_or_without_tls_ends_the_pull(token_registry: Start, tmp_path: Path) -> None:
    """A realm of another host, or on plain HTTP, is named in the refusal."""
    with token_registry("other.example") as registry, pytest.raises(PullFailed, match=r"https://other\.example"):
        asked(registry, tmp_path)
    with token_registry(tls=False) as registry, pytest.raises(PullFailed, match="http://127"):
        asked(registry, tmp_path)


def test_a_registry_that_is_away_is_left_to_the_puller(tmp_path: Path) -> None:
    """Whoever does not answer is not judged here."""
    credential = Credential("127.0.0.1:9", "edge", "p!")

    assert scope.login_for("127.0.0.1:9/a/b:c", credential, tmp_path / "none") is credential


def test_public_authorities_are_trusted_too(
    token_registry: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a registry whose certificate is of an authority of the system's is asked before it is given a login."""
    public = tmp_path / "public"
    public.mkdir()
    monkeypatch.setattr(scope, "PUBLIC_AUTHORITIES", str(public))
    with token_registry("other.example") as registry:
        (public / "authority.crt").write_text(registry.authority.pem)
        subprocess.run(["openssl", "rehash", str(public)], check=True)
        login = Credential(str(registry.address), "edge", "p!")
        with pytest.raises(PullFailed, match=r"https://other\.example"):
            scope.login_for(f"{registry.address}/a/b:c", login, authority=None)
