"""What Palette says of an Edge host is checked before it becomes an address, a name of a folder or a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from foreign import UnsafeTextError, file_name, host_address, uid
from harness.sites.chosen_hosts import chosen
from harness.sites.site_file import BadSiteFileError
from palette.edge_hosts import RegisteredHost
from tests.harness.test_site_file import changed, folder, read

__all__ = ["folder"]  # the fixture of that module, asked for by name


def device(**different: object) -> RegisteredHost:
    """Return an Edge host as Palette tells of it."""
    text = dict.fromkeys(RegisteredHost.__dataclass_fields__, "")
    right = {"uid": "edge-7", "name": "seven", "address": "10.0.0.7", "labels": {"rack": "2"}, "clusters": ()}
    return RegisteredHost(**{**text, **right, **different})  # type: ignore[arg-type] # as the test names them


@pytest.mark.parametrize(
    "hostile",
    [
        {"address": "127.0.0.1?ssh_config=/tmp/x&y="},
        {"address": "-oProxyCommand=id"},
        {"address": "10.0.0.7 -F /tmp/x"},
        {"address": "$(id)"},
        {"address": ""},
        {"name": "../../x"},
        {"uid": "/etc/passwd"},
        {"uid": "../../../x"},
        {"uid": "a\x1b[31m"},
        {"uid": ""},
    ],
)
@pytest.mark.parametrize("ssh", ["kairos@{address}", "kairos@{name}.lan"])
def test_an_edge_host_with_a_hostile_address_is_refused(folder: Path, hostile: dict[str, str], ssh: str) -> None:
    """An address, name or uid that Palette says and that cannot be one ends the run, on one printable line."""
    file = read(folder, changed("edge_hosts", [{"tag": "rack:2", "ssh": ssh}]))
    if ("name" in hostile) == ("address" in ssh) and "uid" not in hostile:
        assert chosen(file, [device(**hostile)]).edge_hosts.keys() == {"edge-7"}, "it is not used"
        return
    with pytest.raises(BadSiteFileError, match=r"^site\.yaml: edge_hosts\[0\]\.tag: ") as refused:
        chosen(file, [device(**hostile)])
    assert str(refused.value).isprintable()


def test_names_of_hosts_steer_no_terminal(folder: Path) -> None:
    """The names that a project has are told on one printable line, whatever is in them."""
    file = read(folder, changed("edge_hosts", [{"name": "eight", "ssh": "kairos@{address}"}]))
    with pytest.raises(BadSiteFileError) as refused:
        chosen(file, [device(name="\x1b]0;title\x07\n::error::x")])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7", "fe80::7%eth0", "edge-7.lan", "edge_7", "a.b.example."])
def test_an_address_stays_as_it_is(folder: Path, address: str) -> None:
    """Host names and IP literals reach ssh unchanged."""
    file = read(folder, changed("edge_hosts", [{"name": "seven", "ssh": "kairos@{address}:2222"}]))
    target = chosen(file, [device(address=address)]).edge_hosts["edge-7"]

    assert (target.address, target.port) == (address, 2222)


def test_a_file_s_name_is_made_here() -> None:
    """No text leads out of a folder, hides a file or is taken for another's: each has its own name."""
    texts = ["edge-1", "..", ".", "", "/etc/passwd", "../x", "..-x", ".hidden", "a/b", "a-b", "ä", "x" * 500, "x" * 501]
    names = [file_name(text) for text in texts]

    assert names[0] == "edge-1"
    assert len(set(names)) == len(texts)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,140}", name) for name in names), names


@pytest.mark.parametrize("text", ["", " ", "a b", "a/b", "a\n", "ä", ".", "..", "-a", "a;b", "a" * 300, "1:2", "::g"])
def test_the_door_refuses_what_is_no_word(text: str) -> None:
    """Neither an address nor a uid has white space, slashes, line ends, leading dots or signs of a shell."""
    with pytest.raises(UnsafeTextError):
        host_address(text)
    with pytest.raises(UnsafeTextError):
        uid(text)
