"""What an Edge host says of itself and of the way to the registry, in a few commands that change nothing."""

from __future__ import annotations

import base64
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from doctor import network
from doctor.findings import Finding, Kind
from doctor.in_palette import CLOCK_TOLERANCE, off_by
from doctor.no_proxy import goes_past
from edge.access import HostUnreachable, PenalisedError, SudoRefusedError
from foreign import is_ip

if TYPE_CHECKING:
    from doctor.image import ImageFacts
    from doctor.listener import Listener
    from edge import EdgeHost

#: One round trip: machine, clock, room where images go, and every proxy that the host's services or users are given.
LOOK = (
    "uname -m; echo ---; date +%s; echo ---; "
    "df -Pk /usr/local /var/lib/containerd /var/lib/rancher /var/lib/spectro /opt/spectrocloud 2>/dev/null; echo ---; "
    "{ systemctl show-environment; cat /etc/environment /etc/spectro/environment /etc/default/k3s* /etc/default/rke2*; "
    "systemctl show --property=Environment --value stylus-agent spectro-stylus-agent containerd spectro-containerd "
    "| tr ' ' '\\n'; } 2>/dev/null | grep -i _proxy="
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}
_PARTS = 4
_DIGITS = 12  # of a time in seconds
_COLUMNS = 6  # of df -P
HTTPS = 443
_TLS = re.compile(r"certificate|verif|x509", re.IGNORECASE)
#: What a tool says of a certificate that it refuses, what that is, and what to do; the first that fits.
REFUSALS = (
    (
        re.compile(r"not yet valid|expired", re.IGNORECASE),
        Kind.CLOCK,
        "it calls the certificate made now for {at} out of date",
        "set its clock (timedatectl set-ntp true)",
    ),
    (
        re.compile(r"not valid for|mismatch|does not match|no alternative certificate", re.IGNORECASE),
        Kind.CERTIFICATE,
        "the certificate presented at {at} is not valid for that name",
        "add the name to registry.names, or have the certificate issued for it",
    ),
    (
        re.compile(r"self.signed|local issuer|unknown (ca|authority)|issuer certificate", re.IGNORECASE),
        Kind.PROXY,
        "at {at} somebody else's certificate is presented",
        "let the hosts reach this machine directly, past what intercepts TLS",
    ),
    (_TLS, Kind.CERTIFICATE, "TLS with {at} failed", "look at what answers there"),
)

_PYTHON = (
    "import base64,socket,ssl,sys\n"
    "name,port,pem,path=sys.argv[1:]\n"
    "trust=ssl.create_default_context(cadata=base64.b64decode(pem).decode())\n"
    "trust.verify_flags&=~getattr(ssl,'VERIFY_X509_STRICT',0)\n"  # Go, which pulls, is not as strict as Python 3.13
    "way=trust.wrap_socket(socket.create_connection((name,int(port)),8),server_hostname=name)\n"
    "way.sendall(b'GET %b HTTP/1.0\\r\\n\\r\\n'%path.encode())\n"
    "print(way.makefile().read())\n"
)
#: How to ask for ``/v2/`` past any proxy and trusting one authority only; the words are name, port, authority (base64).
TOOLS = {
    "curl": (
        "printf %%s {pem} | base64 -d | "
        "curl --disable --silent --show-error --noproxy '*' --max-time 8 --cacert /dev/stdin 'https://{url}:{port}{path}'"
    ),
    "python3": "python3 -I -c {python} {name} {port} {pem} '{path}'",
    "openssl": (
        "printf %%s {pem} | base64 -d | {{ exec 3<&0; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | "
        "timeout 8 openssl s_client -connect {url}:{port} {verify} {name} -verify_return_error "
        "-CAfile /dev/fd/3 -quiet; }}"
    ),
}


@dataclass(frozen=True)
class HostView:
    """An Edge host, what to hold it against, and the address of the registry as it will be.

    ``token`` marks its requests, ``addresses`` are those that it turned out to have.
    """

    host: EdgeHost
    image: ImageFacts | None
    listener: Listener | None
    names: tuple[str, ...]
    vips: tuple[str, ...] = ()
    asks_neighbours: bool = False
    pull_addresses: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: token_hex(8))
    addresses: set[str] = field(default_factory=set)

    @property
    def place(self) -> str:
        """How a finding names the host."""
        return f"host {self.host.uid}"

    def finding(self, kind: Kind, found: str, advice: str) -> Finding:
        """Return a finding at this host."""
        return Finding(kind, self.place, found, advice)


def look_from_host(view: HostView) -> list[Finding]:
    """Log in, and look from there at everything; a host that cannot be logged in to gives one finding."""
    try:
        if refused := _login(view):
            return [refused]
        return [
            *filter(None, [_noise(view)]),
            *_look(view),
            *network.from_host(view),
            *_registry(view),
            *network.seen_from(view),
        ]
    except SudoRefusedError as error:
        return [_sudo(view, str(error))]
    except PenalisedError as error:
        advice = "wait some minutes, and look in its sshd's log for logins from here that failed"
        return [view.finding(Kind.SSH_REFUSED, str(error), advice)]
    except HostUnreachable as error:
        return [_unreachable(view, str(error))]
    finally:
        with suppress(OSError):
            view.host.close()


def _login(view: HostView) -> Finding | None:
    done = view.host.run("id -u")
    if not view.host.access.sudo or str(done.stdout).strip() == "0":
        return None
    return _sudo(view, f"it became user {str(done.stdout).strip() or 'nobody'}")


def _noise(view: HostView) -> Finding | None:
    """Return what the login shell prints: it is told from answers here, and other programs trip over it."""
    if not (noise := _last_line(view.host.noise())):
        return None
    found = f"the login shell of {view.host.access.user} prints to standard output: {noise[:60]}"
    return view.finding(
        Kind.NOISE, found, "print for interactive shells only (case $- in *i*) ...; esac); runs bear it"
    )


def _sudo(view: HostView, said: str) -> Finding:
    user = view.host.access.user
    if "tty" in said:
        advice = f"allow it without a terminal: echo 'Defaults:{user} !requiretty' > /etc/sudoers.d/{user}-no-tty"
        return view.finding(Kind.NO_SUDO, f"sudo wants a terminal: {said}", advice)
    if "not found" in said or "No such file" in said:
        return view.finding(Kind.NO_SUDO, f"it has no sudo: {said}", "install sudo, or log in as root with sudo: false")
    advice = f"allow it: echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}, or log in as another user"
    return view.finding(Kind.NO_SUDO, f"{user} may not use sudo without a password: {said}", advice)


def _unreachable(view: HostView, said: str) -> Finding:
    if "Permission denied" in said:
        key, user = view.host.access.key or "the user's default keys", view.host.access.user
        advice = f"correct ssh.key or the user name {user}, or add the key's public half on the host"
        return view.finding(Kind.SSH_KEY, f"{said} with {key}", advice)
    if "Host key verification failed" in said:
        advice = "compare the host's key at its console, then add it: ssh-keyscan HOST >> the file of ssh.known_hosts"
        return view.finding(Kind.HOST_KEY, said, advice)
    if "the login shell" in said:
        user = view.host.access.user
        return view.finding(Kind.SSH_REFUSED, said, f"correct the start-up files of {user} there, or its shell (chsh)")
    return view.finding(Kind.SSH_REFUSED, said, "check address, port and jump host, and that sshd runs there")


# --- the host itself --------------------------------------------------------------------------------------------------


def _look(view: HostView) -> list[Finding]:
    began = time.time()
    output = str(view.host.run(LOOK).stdout)
    middle = (began + time.time()) / 2
    parts = [part.strip() for part in re.split(r"^---$", output, flags=re.MULTILINE)]
    if len(parts) != _PARTS:
        return [view.finding(Kind.NOT_CHECKED, f"its answer was cut short: {output[-80:]!a}", "run the doctor again")]
    machine, clock, room, proxies = parts
    found = [_clock(view, clock, middle), _machine(view, machine), _room(view, room), _proxy(view, proxies)]
    return [finding for finding in found if finding is not None]


def _clock(view: HostView, text: str, middle: float) -> Finding | None:
    if not (text.isdecimal() and text.isascii() and len(text) < _DIGITS):
        return view.finding(Kind.NOT_CHECKED, f"its clock says {text[:80]!a}", "compare its clock by hand")
    difference = int(text) + 0.5 - middle
    if abs(difference) <= CLOCK_TOLERANCE:
        return None
    found = f"its clock is {off_by(difference)} of this machine's; certificates would be refused"
    return view.finding(Kind.CLOCK, found, "set it (timedatectl set-ntp true), or this machine's if that one is wrong")


def _machine(view: HostView, machine: str) -> Finding | None:
    architecture = ARCHITECTURES.get(machine, machine)
    if view.image is None or architecture in view.image.architectures:
        return None
    found = f"it is {architecture} and the provider image is for {', '.join(sorted(view.image.architectures))}"
    return view.finding(Kind.ARCHITECTURE, found, "name a provider image for it, or list other hosts")


def _room(view: HostView, table: str) -> Finding | None:
    rows = [line.split(None, 5) for line in table.splitlines()[1:]]
    rows = [row for row in rows if len(row) == _COLUMNS and row[3].isdecimal() and len(row[3]) < _DIGITS]
    if view.image is None:
        return None
    if not rows:
        return view.finding(Kind.NOT_CHECKED, "df names none of the places where images go", "look at its disk by hand")
    available, place = min((int(row[3]) << 10, row[5]) for row in rows)
    if available >= view.image.room:
        return None
    found = f"{place} has {available >> 20} MiB free and the provider image needs about {view.image.room >> 20}"
    return view.finding(Kind.NO_SPACE, found, "remove old images or content there, or list another host")


def _proxy(view: HostView, lines: str) -> Finding | None:
    settings = dict(line.strip().strip('"').partition("=")[::2] for line in lines.splitlines())
    lower = {name.lower().split()[-1]: value.strip("\"'") for name, value in settings.items() if name.strip()}
    proxy, no_proxy = lower.get("https_proxy"), lower.get("no_proxy", "")  # Go reads no ALL_PROXY
    port = view.listener.port if view.listener else HTTPS
    caught = [name for name in view.names if not goes_past(no_proxy, name, port)]
    if not proxy or not caught:
        return None
    found = f"its services go through the proxy {_host_of(proxy)}, to {', '.join(caught)} as well"
    return view.finding(Kind.PROXY, found, f"add {','.join(caught)} to NO_PROXY on the host, or take the proxy away")


def _host_of(proxy: str) -> str:
    """Return the host of a proxy's URL, which may hold a password."""
    try:
        return urlsplit(proxy if "://" in proxy else f"//{proxy}").hostname or "of no name"
    except ValueError:
        return "of no name"


# --- the way to the registry ------------------------------------------------------------------------------------------


def _registry(view: HostView) -> list[Finding]:
    if view.listener is None:
        return []
    tool = next((name for name in TOOLS if view.host.run("command -v %s", name).exit_status == 0), None)
    found = [_name(view, name, tool) for name in view.names]
    return [finding for finding in found if finding is not None]


def _name(view: HostView, name: str, tool: str | None) -> Finding | None:
    if not is_ip(name) and view.host.run("getent ahosts %s", name).exit_status != 0:
        advice = "add it to the hosts' DNS or /etc/hosts, or remove it from registry.names"
        return view.finding(Kind.NOT_RESOLVABLE, f"it cannot resolve {name}", advice)
    if tool is None:
        found = f"it has none of {', '.join(TOOLS)}: whether {name} can be reached is unknown"
        return view.finding(Kind.NOT_CHECKED, found, "install one, or look at the first pull of a run")
    return judged(view, name, *ask(view, name, tool))


def ask(view: HostView, name: str, tool: str) -> tuple[str, str]:
    """Ask for the registry's ``/v2/`` from the host with a tool it has; return what was answered and what was said."""
    assert view.listener is not None
    number = is_ip(name)
    command = TOOLS[tool].format(
        url=_in_url(name),
        name="%s",
        port=view.listener.port,
        path=f"/v2/?{view.token}",
        python="%s",
        pem="%s",
        verify=f"-verify_{'ip' if number else 'hostname'}",
    )
    pem = base64.b64encode(view.listener.trusted.encode()).decode()
    words = {"curl": (pem,), "python3": (_PYTHON, name, pem), "openssl": (pem, name)}[tool]
    done = view.host.run(command, *words)
    return str(done.stdout), str(done.stderr)


def judged(view: HostView, name: str, answer: str, said: str) -> Finding | None:
    """Return what is wrong with the way to the registry under a name, if anything is."""
    assert view.listener is not None
    if view.listener.word in answer:
        return None
    at = f"{_in_url(name)}:{view.listener.port}"
    told_by_tool = next((line for line in said.splitlines() if _TLS.search(line)), "").strip() or _last_line(said)
    for pattern, kind, found, advice in REFUSALS:
        if pattern.search(said):
            return view.finding(kind, f"{found.format(at=at)}: {told_by_tool}", advice)
    if answer.strip():
        return view.finding(Kind.PROXY, f"something else answers at {at}", "let the name lead to registry.bind")
    advice = "open the way from the hosts to registry.bind (firewall, route, a name that leads elsewhere)"
    return view.finding(Kind.NOT_REACHABLE, f"{at} does not answer: {told_by_tool}", advice)


def _in_url(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
