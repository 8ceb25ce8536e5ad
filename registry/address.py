"""The one object through which everything reaches a registry, so that the witness can stand in front of it."""

from __future__ import annotations

from dataclasses import dataclass

from foreign import host_address

HTTPS_PORT = 443
_HIGHEST_PORT = 65535
_SHORT_LABEL = 3  # of names such as co.uk, below which everybody may have a name


@dataclass(frozen=True)
class RegistryAddress:
    """Where a registry answers over HTTPS: a domain name or IP address (an IPv6 one without brackets) and a port."""

    host: str
    port: int = HTTPS_PORT

    def __post_init__(self) -> None:
        try:
            host_address(self.host if self.host.isascii() else self.host.encode("idna").decode())
        except ValueError as error:  # also of an international name that is none
            raise ValueError(f"registry host {error}; write it as 'registry.example.org', the port apart") from None
        if not 0 < self.port <= _HIGHEST_PORT:
            raise ValueError(f"registry port {self.port} is out of range; write a number from 1 to {_HIGHEST_PORT}")

    @classmethod
    def parse(cls, text: str) -> RegistryAddress:
        """Read ``host``, ``host:port`` or ``[ipv6]:port``; without a port it is 443.

        Raises :exc:`ValueError` for a scheme, a path, or anything else that is no address.
        """
        if "://" in text:
            raise ValueError(f"registry {text!r} has a scheme; write host:port alone, it is always reached over HTTPS")
        if text.startswith("["):
            host, bracket, port = text[1:].partition("]")
            if not bracket or ":" not in host or (port and not port.startswith(":")):
                raise ValueError(f"registry {text!r} is no address; write an IPv6 address as '[2001:db8::1]:5000'")
            return cls(host, _port(port[1:], text) if port else HTTPS_PORT)
        if text.count(":") > 1:
            raise ValueError(f"registry {text!r} is ambiguous; write an IPv6 address as '[2001:db8::1]:5000'")
        host, colon, port = text.partition(":")
        return cls(host, _port(port, text) if colon else HTTPS_PORT)

    def __str__(self) -> str:
        """Return ``host:port`` as it stands in an image reference; IPv6 in brackets, the port always written."""
        return f"{self.bracketed_host}:{self.port}"

    @property
    def bracketed_host(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"https://{self}"

    def reference(self, repository: str, tag_or_digest: str) -> str:
        """Return the full image reference; what looks like ``sha256:…`` is a digest and follows an ``@``.

        Nothing is checked against the grammar of references: wrong ones are wanted by negative cases.
        """
        separator = "@" if ":" in tag_or_digest else ":"
        return f"{self}/{repository}{separator}{tag_or_digest}"


def is_of_one_family(host: str, other: str) -> bool:
    """Return whether a password for ``other`` may go to ``host``: the same, below it, or of its parent's domain.

    ``auth.docker.io`` and ``gitlab.com`` belong to ``registry-1.docker.io`` and ``registry.gitlab.com``; what stands
    directly below a public suffix such as ``co.uk`` has no family but itself, and neither has an IP address.
    """
    if host == other or host.endswith(f".{other}"):
        return True
    parent = other.partition(".")[2]
    labels = parent.split(".")
    is_public = len(labels) == 1 or (len(labels) == 2 and max(map(len, labels)) <= _SHORT_LABEL)  # noqa: PLR2004
    if is_public or labels[-1].isdigit() or ":" in other:
        return False
    return host == parent or host.endswith(f".{parent}")


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"registry {whole!r}: {text!r} is no port; write a number from 1 to {_HIGHEST_PORT}")
    return int(text)
