"""NO_PROXY is read as Go reads it, for that is what pulls."""

from __future__ import annotations

import pytest

from doctor.no_proxy import goes_past


@pytest.mark.parametrize(
    ("no_proxy", "host", "past"),
    [
        ("10.20.0.5:5443", "10.20.0.5", True),
        ("10.20.0.5:443", "10.20.0.5", False),
        ("10.20.0.5", "10.20.0.5", True),
        ("10.20.0.0/16", "10.20.0.5", True),
        ("10.21.0.0/16", "10.20.0.5", False),
        ("10.20.0.0/16", "registry.lab.example", False),
        ("*.lab.example", "registry.lab.example", True),
        (".lab.example", "registry.lab.example", True),
        (".lab.example", "lab.example", False),
        ("lab.example", "registry.lab.example", True),
        ("lab.example", "lab.example", True),
        ("lab.example", "notlab.example", False),
        ("lab.example:5443", "registry.lab.example", True),
        ("lab.example:5000", "registry.lab.example", False),
        ("*", "registry.lab.example", True),
        (" a.example , REGISTRY.lab.example ", "registry.lab.example", True),
        ("10.20.*", "10.20.0.5", False),
        ("fd00::5", "fd00::5", True),
        ("[fd00::5]:5443", "fd00::5", True),
        ("[fd00::5]:1", "fd00::5", False),
        ("fd00::/8", "fd00::5", True),
        ("", "localhost", True),
        ("", "127.0.0.2", True),
        ("", "registry.lab.example", False),
        ("lab.example/16, 10.0.0.0/99,:,[", "registry.lab.example", False),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("::ffff:10.0.0.5", "10.0.0.5", True),
        ("10.0.0.0/8", "::ffff:10.0.0.5", True),
        ("10.0.0.0/255.0.0.0", "10.0.0.5", False),
        ("10.20.0.5:0", "10.20.0.5", False),
        ("10.20.0.5:", "10.20.0.5", True),
        ("lab.example:https", "lab.example", False),
        ("[fd00::5]", "fd00::5", False),
        ("fd00::5%eth0", "fd00::5", False),
        ("[lab.example]:5443", "lab.example", True),
        ("[lab.example]", "lab.example", False),
        ("lab.example", "lab.example.", False),
        (".5", "10.20.0.5", False),
        ("b\u00fccher.example", "xn--bcher-kva.example", True),
        ("", "localhost.", False),
        ("a,*", "registry.lab.example", True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(no_proxy: str, host: str, past: bool) -> None:  # noqa: FBT001 - a column of the table
    """Host, suffix, range and port, with leading dots and stars: what goes past the proxy there goes past it here."""
    assert goes_past(no_proxy, host, 5443) is past
