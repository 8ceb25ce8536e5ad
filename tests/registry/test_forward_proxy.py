"""A registry that is reached through a proxy: only there, and its certificate is checked as it is without one."""

from __future__ import annotations

import pytest
import requests

from doctor.listener import listening
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.tls import Authority
from tests.forward_proxy import forward_proxy


def test_a_registry_behind_a_proxy_is_asked_through_it_and_its_authority_is_checked() -> None:
    """The tunnel leads to the registry, and a certificate of another authority is refused there as well."""
    with listening("127.0.0.1", 0, ()) as registry, forward_proxy() as proxy:
        address = RegistryAddress("127.0.0.1", registry.port)
        with RegistryClient(address, authorities=registry.trusted, proxy=proxy.url) as client:
            client.login()
        with (
            RegistryClient(address, authorities=Authority().pem, proxy=proxy.url) as client,
            pytest.raises(requests.exceptions.SSLError),
        ):
            client.login()

    assert set(proxy.asked) == {str(address)}
