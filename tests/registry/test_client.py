from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from protected import Secret
from registry.client import RegistryClient
from registry.manifests import RegistryError, digest_of
from registry.server import PrivateRegistry
from tests.registry.token_registry import BLOB, TokenServer, token_registry


@pytest.fixture
def token_service() -> Iterator[TokenServer]:
    """Run a registry that asks for a token."""
    with token_registry() as registry:
        yield registry


def client_of(registry: TokenServer, password: str | None = None) -> RegistryClient:
    """Return a client of it."""
    chosen = registry.password if password is None else password
    return RegistryClient(registry.address, registry.username, chosen, authorities=registry.authority.pem)


def test_a_token_is_fetched_with_basic_and_used_from_then_on(token_service: TokenServer) -> None:
    """The challenge is answered at the token endpoint, once per scope; the registry itself only sees the token."""
    with client_of(token_service) as client:
        for _ in range(2):
            assert b"".join(client.blob("a/b", digest_of(BLOB))) == BLOB

    schemes = [scheme for path, scheme in token_service.seen if not path.startswith("/token")]
    assert schemes == ["", "Bearer", "Bearer"]
    assert len([path for path, _ in token_service.seen if path.startswith("/token")]) == 1


def test_a_wrong_password_is_refused_at_the_token_endpoint(token_service: TokenServer) -> None:
    """The error names the endpoint and the status, and not the password."""
    with (
        client_of(token_service, "wrong-password") as client,
        pytest.raises(RegistryError, match="/token: 401") as caught,
    ):
        client.login()

    assert "wrong-password" not in str(caught.value)


def test_a_password_is_not_sent_to_a_realm_without_tls(token_service: TokenServer) -> None:
    """A challenge that points to plain HTTP is refused."""
    token_service.realm = "http://127.0.0.1:1/token"
    with client_of(token_service) as client, pytest.raises(RegistryError, match="not https"):
        client.login()


def test_an_anonymous_client_does_not_go_for_a_token(token_service: TokenServer) -> None:
    """Without a user name a challenge is the answer."""
    client = RegistryClient(token_service.address, authorities=token_service.authority.pem)
    with client, pytest.raises(RegistryError, match="401"):
        client.login()

    assert [path for path, _ in token_service.seen] == ["/v2/"]


def test_a_password_is_sent_only_when_asked_for(private_registry: PrivateRegistry) -> None:
    """A client of a registry that wants Basic learns that from the challenge, then logs in with UTF-8."""
    with private_registry.account("üser", "pässwörd😀") as account, private_registry.client(account) as client:
        assert not client._session._basic
        client.login()
        assert client._session._basic


def test_neither_texts_nor_debug_logs_have_the_password(
    private_registry: PrivateRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """A planted password shows up neither in logs at the finest level nor in errors, whatever happens."""
    canary = "Canary-4711-password"
    with caplog.at_level(logging.DEBUG), private_registry.account("edge", canary) as account:
        with private_registry.client(account) as client:
            client.login()
            with pytest.raises(RegistryError) as caught:
                client.manifest("no/such", "v1")
        wrong = RegistryClient(
            private_registry.address, "edge", Secret(canary + "x"), authorities=private_registry.authority.pem
        )
        with wrong, pytest.raises(RegistryError) as refused:
            wrong.login()
        heard = caplog.text + str(caught.value) + str(refused.value) + repr(account) + repr(vars(client))

    assert canary not in heard
    assert "404 MANIFEST_UNKNOWN" in str(caught.value)
    assert "GET /v2/no/such/manifests/v1" in str(caught.value)
