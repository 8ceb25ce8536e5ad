"""All mistakes of a site file are told in one go, each with its line, and none repeats a secret."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from harness.sites.site_file import BadSiteFileError, RemoteImage
from registry.tls import Authority
from tests.harness.test_site_file import SECRET, changed, folder, read, refusal

__all__ = ["folder"]  # the fixture of that module, asked for by name

WRONG = """\
name: qa
palette:
  url: http://palette.example
  api_key: {env: NOT_SET}
  apikey: x
edge_hosts:
  - uid: edge-1
    ssh: edge-1
  - uid: edge-2
    ssh: kairos@10.0.0.2:0
  - name: edge-3
    ssh: "kairos@$(id)"
  - tag: rack:2
    ssh: kairos@10.0.0.4
    key: nowhere
  - uid: edge 5
    ssh: kairos@10.0.0.5
  - ssh: kairos@10.0.0.6
ssh: {key: nowhere, jump: "qa@a b"}
registry:
  bind: THIS-MACHINE
  port: 70000
timeouts: {repav: 5}
provider_image: oci:elsewhere
"""


def mistakes(folder: Path, document: object) -> tuple[str, ...]:
    """Return the mistakes of a site file: its text, or a document."""
    with pytest.raises(BadSiteFileError) as refused:
        read(folder, document)
    return refused.value.mistakes


def test_all_mistakes_are_told_in_one_go(folder: Path) -> None:
    """Wrong keys, values, hosts, files, secrets and left words of the template: one line each, in the file's order."""
    told = mistakes(folder, WRONG)
    expected = [
        "site.yaml:2: palette.project: it is missing",
        "site.yaml:3: palette.url: found 'http://palette.example'; write https://host[:port]",
        "site.yaml:4: palette.api_key: environment variable NOT_SET is not set",
        "site.yaml:5: palette.apikey: unknown key; did you mean 'api_key'?",
        "site.yaml:8: edge_hosts[0].ssh: 'edge-1' has no user",
        "site.yaml:10: edge_hosts[1].ssh: found port 0",
        "site.yaml:12: edge_hosts[2].ssh: '$(id)' is neither a host name nor an IP address",
        "site.yaml:15: edge_hosts[3].key: nowhere is not a file",
        "site.yaml:16: edge_hosts[4].uid: 'edge 5' is no uid",
        "site.yaml:18: edge_hosts[5]: 'uid' is missing",
        "site.yaml:19: ssh.jump: found 'qa@a b'",
        "site.yaml:19: ssh.key: nowhere is not a file",
        "site.yaml:21: registry.bind: THIS-MACHINE is still the template's word",
        "site.yaml:22: registry.port: found 70000",
        "site.yaml:23: timeouts.repav: unknown time-out; did you mean 'repave'?",
        "site.yaml:24: provider_image: ",
    ]
    assert [line for line, right in zip(told, expected, strict=True) if not line.startswith(right)] == []


def test_a_key_that_stands_twice_is_refused(folder: Path) -> None:
    """A second ``never_touch`` does not take the first away: the file is refused, with both lines."""
    text = (folder / "site.yaml").read_text() if read(folder, changed("name", "qa")) else ""
    text += "never_touch: {clusters: [production-east]}\nexamples: 1\nnever_touch: {edge_hosts: [edge-9]}\n"
    (told,) = mistakes(folder, text)
    last = len(text.splitlines())

    assert (
        told == f"site.yaml:{last}: this is no YAML: 'never_touch' stands here again; it is on line {last - 2} already"
    )


def test_a_wrong_indentation_is_shown(folder: Path) -> None:
    """The line is shown without its value, with how far it and its neighbour are indented."""
    (told,) = mistakes(folder, f"palette:\n  url: https://p\n api_key: {SECRET}\n")

    assert told.startswith(
        "site.yaml:3: this is no YAML: the indentation does not fit: 'api_key: …' is indented by 1, "
    )
    assert "its neighbour by 2" in told
    assert SECRET not in told


KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("ssh.key", KEY),
        ("ssh.key", [KEY]),
        ("ssh.known_hosts", f"10.0.0.1 ssh-ed25519 {SECRET}=="),
        ("palette.authority", KEY),
        ("palette.url", f"https://me:{SECRET}@palette.example"),
        ("palette.url", f"me:{SECRET}@palette.example"),
        ("palette.proxy", f"http://me:{SECRET}@proxy.example:3128"),
        ("provider_image", {"reference": "r.example/a:1", "proxy": f"me:{SECRET}@proxy.example:3128"}),
        ("palette.api_key", {"env": SECRET}),
        ("palette.api_key", {"file": f"{SECRET}=="}),
        ("palette.api_key", SECRET),
        ("kubernetes", {"kubeconfig": f"users: [{SECRET}]"}),
        ("edge_hosts.0.ssh", f"kairos:{SECRET}@10.0.0.1"),
        ("edge_hosts.0.key", KEY),
        ("provider_image", {"reference": "r.example/a:1", "username": "u", "password": SECRET}),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_quoted(folder: Path, place: str, value: object) -> None:
    """What stands inline by mistake, as a password or the content of a key file, is in no message."""
    message = refusal(folder, changed(place, value))

    assert SECRET not in message
    assert message.startswith(f"site.yaml: {place.replace('.0', '[0]')}")


def test_an_authority_in_another_form_is_told_with_the_command_that_converts_it(folder: Path) -> None:
    """DER, UTF-16, a byte order mark, OpenSSL's own form, a key in the file and no certificate are one line each."""
    pem = Authority().pem
    certificates = x509.load_pem_x509_certificates(pem.encode())
    (folder / "right.pem").write_text(pem)
    trusted = subprocess.run(
        ["openssl", "x509", "-in", folder / "right.pem", "-trustout"], check=True, capture_output=True
    ).stdout
    forms = {
        "is DER; convert it: openssl x509": ssl.PEM_cert_to_DER_cert(pem),
        "is UTF-16; convert it: iconv": pem.encode("utf-16"),
        "begins with a byte order mark": b"\xef\xbb\xbf" + pem.encode(),
        "is a 'trusted' certificate": trusted,
        "has a private key in it": pem.encode() + b"-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n",
        "has no certificate in PEM": b"\xff" * 10,
        "is PKCS #7; convert it: openssl pkcs7": pkcs7.serialize_certificates(certificates, Encoding.PEM),
        "is PKCS #7 or #12; convert it": pkcs7.serialize_certificates(certificates, Encoding.DER),
        "is a request for a certificate": b"-----BEGIN CERTIFICATE REQUEST-----\nMA==\n",
    }
    existing = {"address": "r.example", "pusher": {"username": "u", "password": {"file": "key"}}, "accounts": []}
    image = {"reference": "r.example/a:1", "authority": "other"}
    for said, content in forms.items():
        (folder / "other").write_bytes(content)
        for place, value in {
            "palette.authority": "other",
            "provider_image": image,
            "registry.existing": {**existing, "accounts": [existing["pusher"]], "authority": "other"},
        }.items():
            assert f".authority: other {said}" in "\n".join(mistakes(folder, changed(place, value))), (said, place)
    assert read(folder, changed("palette.authority", "right.pem")).palette_authority == (folder / "right.pem").resolve()

    (folder / "right.pem").write_text(f"# Főtanúsítvány\r\n{pem}")
    given = read(folder, changed("provider_image", {**image, "authority": "right.pem"})).provider_image
    assert isinstance(given, RemoteImage)
    assert given.authority == pem
    given.client().close()


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ({"ports": "5450-5443"}, "registry.ports: '5450-5443' is no range of ports; write it as 5443-5450"),
        ({"ports": "0-5"}, "registry.ports: '0-5' is no range of ports; write it as 5443-5450"),
        ({"ports": "5443-99999"}, "registry.ports: '5443-99999' is no range of ports; write it as 5443-5450"),
        ({"ports": "5443"}, "registry.ports: found '5443'"),
        ({"ports": "5443-5450", "port": 5443}, "registry.ports: registry.port is given as well"),
    ],
)
def test_ports_that_are_no_range_are_refused(folder: Path, registry: dict[str, object], said: str) -> None:
    """Each worker takes one of the ports, so they are a range, and not given in two ways."""
    assert refusal(folder, changed("registry", {"bind": "10.0.0.5", **registry})).startswith(f"site.yaml: {said}")


def test_each_worker_can_have_a_port(folder: Path) -> None:
    """A range is for workers, one port is for one of them, and without either each takes a free one."""
    ports = [
        read(folder, changed("registry", {"bind": "10.0.0.5", **given})).registry_ports
        for given in ({"ports": "5443-5445"}, {"port": 5443}, {})
    ]

    assert ports == [(5443, 5444, 5445), (5443,), ()]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("palette.url", ["https://h?x", "https://h:", "https://h:99999", "https://[x", "https://h\tx", "https://-h"]),
        ("palette.proxy", ["http://[x:1", "http://a:99999", "http://a:0", "http://a\n:1", "http://?:1"]),
        ("palette.project", ["\x1b[2J", "a\nb", " "]),
        ("name", ["\x1b[2J", "\u202e"]),
        ("registry.bind", ["0.0.0.0", "::", "224.0.0.1", "10.0.0.300", "10.0.0.9:5443", "x y", "0x7f000001"]),  # noqa: S104 - not bound
        ("registry.names", [["registry:5000"], ["https://x"], ["a\nb"], ["-x"], ["10.0.0.300"]]),
        ("registry.port", [5443.0]),
        ("examples", [3.0]),
        ("timeouts", [{"repave": float("inf")}, {"repave": 1e9}]),
        ("cluster.vip", ["10.0.0.300", "10.0.0.1/24", "10.0.0.1:6443", "a,b", "$(id)", "0.0.0.0", "fd00::1%eth0", "1"]),  # noqa: S104
        ("cluster.vip", [["fd00::1", "fd00:0::1"], "10.0.0.1 - 10.0.0.x"]),
        ("cluster.overlay_cidr_range", ["0.0.0.0/0", "10.0.0.0/255.255.255.0", "10.0.0.0/31"]),
        ("cluster.ntp_servers", [["a b"], ["a\nb"]]),
        ("cluster.ssh_keys", [["-----BEGIN OPENSSH PRIVATE KEY-----"], ["ssh-rsa AA x\nssh-rsa BB y"], ["key"]]),
        ("edge_hosts.0.ssh", ["k@[1]", "k@10.0.0.300", "k@0x7f000001"]),
        ("edge_hosts.0.host_name", ["a b", "a\nb"]),
        ("edge_hosts.0.nic_name", ["eth0 x", "sixteen-letters-", "a/b"]),
        ("edge_hosts.0.subnet_mask", ["0.0.0.255", "255.0.255.0", "x"]),
        ("edge_hosts.0.default_gateway", ["x", "10.0.0.1/24"]),
        ("edge_hosts.0.dns_servers", [["x"]]),
        ("provider_image", [{"reference": f"r/{it}"} for it in ("../p:1", "p?x:1", "p#x:1", "P:1", "p:1\n", "p:-1")]),
        ("provider_image", [{"reference": f"{host}/p:1"} for host in ("-r", "r\n", "10.0.0.300")]),
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_where_it_stands(folder: Path, path: str, values: list[object]) -> None:
    """What would be a broken request, an endless wait or a wrong network later is one line with its key."""
    for value in values:
        key = path.replace(".0.", "[0].")
        assert refusal(folder, changed(path, value)).startswith(f"site.yaml: {key}"), value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("cluster.vip", "beef-cafe"),
        ("cluster.vip", "10.0.0.1 - 10.0.0.3"),
        ("registry.names", ["registry.qa.example", "fd00::9"]),
        ("edge_hosts.0.subnet_mask", "24"),
        ("timeouts", {"repave": 86400}),
        ("cluster.ssh_keys", ["ssh-ed25519 AAAA qa@example one\n", "sk-ssh-ed25519@openssh.com AAAA"]),
    ],
)
def test_an_unusual_address_is_taken(folder: Path, path: str, value: object) -> None:
    """Names, ranges with blanks and prefix lengths are as good as the usual forms."""
    assert read(folder, changed(path, value)).name == "lab-berlin"


@pytest.mark.parametrize(("key", "said"), [("k\u00e9y-abcdef", "outside ASCII"), ("key abc\ndef", "line breaks")])
def test_an_api_key_that_no_header_can_hold_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: str, said: str
) -> None:
    """The line names its place and not the key; white space around it is none of it."""
    monkeypatch.setenv("PALETTE_API_KEY", key)
    told = refusal(folder, changed("name", "x"))
    monkeypatch.setenv("PALETTE_API_KEY", f" {SECRET}\r\n")

    assert (told.startswith("site.yaml: palette.api_key: "), said in told, key in told) == (True, True, False), told
    assert read(folder, changed("name", "x")).api_key.reveal() == SECRET
