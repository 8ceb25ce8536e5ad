from __future__ import annotations

import pytest

from registry.address import RegistryAddress


@pytest.mark.parametrize(
    ("text", "host", "port", "written"),
    [
        ("registry.example.org:5000", "registry.example.org", 5000, "registry.example.org:5000"),
        ("registry.example.org", "registry.example.org", 443, "registry.example.org:443"),
        ("10.1.2.3:5000", "10.1.2.3", 5000, "10.1.2.3:5000"),
        ("[2001:db8::1]:5000", "2001:db8::1", 5000, "[2001:db8::1]:5000"),
        ("[::1]", "::1", 443, "[::1]:443"),
    ],
)
def test_an_address_is_written_as_it_stands_in_image_references(text: str, host: str, port: int, written: str) -> None:
    """Names, IPv4 and bracketed IPv6 addresses are read and written with their port; the port defaults to 443."""
    address = RegistryAddress.parse(text)

    assert (address.host, address.port, str(address)) == (host, port, written)
    assert address.url == f"https://{written}"
    assert RegistryAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "https://registry", "registry/path", "registry:", "registry:0", "registry:65536", "registry:5k",
        "::1", "::1:5000", "[::1", "[::1]5000", "[::1]:", "user@registry", "registry:\u0665", "[registry:1]", "a b",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    """A scheme, a path, a bare IPv6 address or a wrong port is refused with a message that quotes it."""
    with pytest.raises(ValueError, match="registry"):
        RegistryAddress.parse(text)


def test_references_tell_tags_from_digests() -> None:
    """A tag follows a colon, a digest an at sign."""
    address = RegistryAddress("::1", 5000)

    assert address.reference("a/b", "v1") == "[::1]:5000/a/b:v1"
    assert address.reference("a/b", "sha256:00") == "[::1]:5000/a/b@sha256:00"
