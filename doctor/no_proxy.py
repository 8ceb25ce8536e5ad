"""Whether a program of Go's goes past a proxy: the agent, containerd and skopeo read ``NO_PROXY`` by Go's rules.

Those of ``requests`` and curl differ in ports, ranges and leading stars, and no library of Python's has Go's
(``golang.org/x/net/http/httpproxy``: the documentation of ``Config.NoProxy``).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def goes_past(no_proxy: str, host: str, port: int) -> bool:
    """Return whether a request for ``https://host:port`` is made directly."""
    host = host.lower().rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = (entry.strip().lower() for entry in no_proxy.split(","))
    return any(_matches(entry, host, address, port) for entry in entries if entry)


def _matches(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _in_range(entry, address)
    name, wanted = _name_and_port(entry)
    if wanted not in (0, port):
        return False
    if (other := _address(name)) is not None:
        return other == address
    if name.startswith("*."):
        name = name[1:]
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _name_and_port(entry: str) -> tuple[str, int]:
    """Return the name of an entry and its port, 0 where it names none."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, _number(rest.removeprefix(":"))
    if entry.count(":") != 1:
        return entry, 0
    name, _, port = entry.partition(":")
    return name, _number(port)


def _number(port: str) -> int:
    return int(port) if port.isdecimal() and len(port) <= 5 else 0  # noqa: PLR2004 - digits of a port


def _in_range(entry: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
