"""Whether a program of Go's goes past a proxy: the agent, containerd and skopeo read ``NO_PROXY`` by Go's rules.

Those of ``requests`` and curl differ in ports, ranges and leading stars, and no library of Python's has Go's
(``golang.org/x/net/http/httpproxy``: the documentation of ``Config.NoProxy``).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_HOST_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")


def goes_past(no_proxy: str, host: str, port: int) -> bool:
    """Return whether a request for ``https://host:port`` is made directly."""
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return "*" in entries or any(_matches(entry, host.lower(), address, str(port)) for entry in entries if entry)


def _matches(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: str) -> bool:
    if (inside := _in_range(entry, address)) is not None:
        return inside
    parts = _HOST_PORT.fullmatch(entry)
    name, wanted = (parts[1] or parts[2] or "", parts[3]) if parts else (entry, "")
    if not name or wanted not in ("", port):
        return False
    if (other := _address(name)) is not None or address is not None:
        return other == address  # no name stands for an address
    suffix = name.removeprefix("*") if name.startswith("*.") else name
    if not suffix.startswith("."):
        suffix = f".{suffix}"
        if host == _as_travels(suffix)[1:]:
            return True
    return host.endswith(_as_travels(suffix))


def _as_travels(name: str) -> str:
    try:
        return name if name.isascii() else "." + name[1:].encode("idna").decode()
    except UnicodeError:
        return name


def _in_range(entry: str, address: IPv4Address | IPv6Address | None) -> bool | None:
    """Return whether an entry is a range with the address in it, None where it is no range."""
    start, slash, length = entry.partition("/")
    if not slash or not (length.isascii() and length.isdigit()) or _address(start) is None:
        return None
    try:
        return address is not None and address in ip_network(entry, strict=False)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address without a zone; one of IPv4 within IPv6 is the same as itself."""
    try:
        found = ip_address(text if "%" not in text else "")
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
