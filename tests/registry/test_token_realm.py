"""The registry that asks for tokens: its real token authentication, and who is told a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from docker import DockerClient

from registry.manifests import RegistryError
from registry.server import Account
from registry.tls import Authority
from registry.token_realm import TokenRealm, TokenRegistry, serving


@pytest.fixture
def authority() -> Authority:
    """Return an authority for registry and realm."""
    return Authority()


@pytest.fixture
def realm(authority: Authority) -> Iterator[TokenRealm]:
    """Yield a realm beside the registry that takes passwords."""
    with serving(TokenRealm("127.0.0.1", authority.issue("127.0.0.1"))) as running:
        yield running


@pytest.fixture
def registry(engine: DockerClient, realm: TokenRealm, authority: Authority) -> Iterator[TokenRegistry]:
    """Yield a registry that sends its clients to that realm."""
    with TokenRegistry(engine, realm, authority=authority) as running:
        yield running


def test_a_token_for_the_password_opens_the_registry(registry: TokenRegistry, realm: TokenRealm) -> None:
    """Who gives the realm the right password gets a token that the registry itself accepts."""
    with registry.account() as account:
        registry.client(account).login()

        assert registry.client(account).tags("conformance/provider") == []
        assert realm.was_sent(account)


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
def test_a_realm_hears_a_login_by_whatever_method(method: str) -> None:
    """A puller that asks by HEAD first is challenged and heard as one that asks by GET."""
    with serving(TokenRealm("127.0.0.1", None)) as realm, requests.Session() as session:
        session.trust_env = False
        form = {"username": "user", "password": "changed"} if method == "POST" else None
        answer = session.request(method, realm.url, auth=("user", "changed"), data=form)

        assert realm.presented
        assert method == "POST" or answer.headers["WWW-Authenticate"].startswith("Basic")


def test_a_wrong_password_gets_no_token(registry: TokenRegistry) -> None:
    """The realm refuses a wrong password, and one whose account has ended."""
    with registry.account() as account, pytest.raises(RegistryError, match="401"):
        registry.client(Account(account.username, "wrong")).login()
    with pytest.raises(RegistryError, match="401"):
        registry.client(account).login()


def test_a_realm_without_passwords_gives_nobody_a_token(registry: TokenRegistry, realm: TokenRealm) -> None:
    """Where tokens are given for something else, the right password is noted and refused."""
    realm.takes_passwords = False
    with registry.account() as account:
        with pytest.raises(RegistryError, match="401"):
            registry.client(account).login()
        assert realm.was_sent(account)


def test_a_token_of_another_issuer_is_refused(registry: TokenRegistry, realm: TokenRealm) -> None:
    """The registry checks who signed a token: one by another authority opens nothing."""
    realm.signer = Authority("another")
    with registry.account() as account, pytest.raises(RegistryError, match="401"):
        registry.client(account).login()


def test_no_text_of_a_realm_has_a_password(realm: TokenRealm) -> None:
    """Accounts and what was presented are left out of the realm's text."""
    realm.accounts["edge"] = "p:ß!"
    realm.answer("Basic secret", [])

    assert "p:ß!" not in repr(realm)
    assert "secret" not in repr(realm)
