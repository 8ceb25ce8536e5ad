"""The witness: stands in front of a private registry and says what each pull presented.

It is used in the registry's place (the same address, authority, accounts), passes everything through unchanged, and
names what became of the password on its way here: ``intact``, ``base64-decoded``, ``unknown change`` … Passwords are
compared in memory; what comes out are names.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, Unpack
from urllib.parse import quote

from registry.address import RegistryAddress
from registry.classify import Configured, Presented, closest, prepare
from registry.pulls import Mark, RequestLog, Which, changes, matches, overlapping
from registry.server import usable_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from registry.classify import Prepared
    from registry.client import RegistryClient
    from registry.pulls import FailedConnection, Pull
    from registry.server import Account
    from registry.tls import Authority, ServerCertificate

#: What a presentation is called that is right elsewhere: the login of another version, registry, host …
LOGIN_OF = "the login of "
#: What a login is called that a case wants refused.
ON_PURPOSE = "wrong on purpose"
INTACT = Presented("intact", "intact", "intact", username_name="intact")
_WORTH_HIDING = 4  # characters; a shorter password would blot out ordinary text
_TELLING = 12  # characters; a shorter password may be an ordinary word of a header


def basic(username: str, password: str) -> bytes:
    """Return the ``Authorization`` header of a login."""
    return b"Basic " + base64.b64encode(f"{username}:{password}".encode())


@dataclass(frozen=True, repr=False)
class _InForce:
    username: str
    password: str
    prepared: Prepared

    @functools.cached_property
    def forms(self) -> tuple[str, ...]:
        """How the password could stand in a path or a name: as it is and percent-encoded."""
        return (self.password, quote(self.password, safe="")) if len(self.password) >= _WORTH_HIDING else ()

    @functools.cached_property
    def copies(self) -> tuple[str, ...]:
        """How the login could stand in another header."""
        raw, pair = self.password.encode("utf-8", "surrogateescape"), basic(self.username, self.password)[6:]
        encoded = (base64.b64encode(raw).decode().rstrip("="), raw.hex(), pair.decode())
        return (*self.forms, *encoded) if len(self.password) >= _TELLING else ()


class AccountsInForce:
    """The accounts that pulls are compared with; the newest of a user name counts, the one before is its previous."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[_InForce] = []
        self._logins: dict[bytes, tuple[str, str]] = {}
        self._right: dict[str, bytes] = {}
        self._wrong: dict[bytes, str] = {}

    def name_login(self, name: str, username: str, password: str) -> None:
        """From now on call this very login by a name wherever a host is to present another one."""
        with self._lock:
            self._logins[basic(username, password)] = username, name

    def expect_of(self, host: str, username: str, password: str) -> None:
        """From now on a host is to present this login, and no other one that has a name."""
        with self._lock:
            self._right[host] = basic(username, password)

    @contextlib.contextmanager
    def wrong_on_purpose(self, username: str, password: str) -> Iterator[None]:
        """Take this login for what a case wants presented, while the context lasts: the registry is to refuse it."""
        header = basic(username, password)
        with self._lock:
            self._wrong[header] = username
        try:
            yield
        finally:
            with self._lock:
                self._wrong.pop(header, None)

    def forget_logins(self) -> None:
        """Compare with whatever account is in force again."""
        with self._lock:
            self._logins, self._right = {}, {}

    @contextlib.contextmanager
    def expecting(self, username: str, password: str, other: str | None = None) -> Iterator[None]:
        """Compare pulls with this account while the context lasts."""
        with self._lock:
            previous = next((known.password for known in reversed(self._all) if known.username == username), None)
        prepared = prepare(Configured(username, password, previous=previous, other=other))
        account = _InForce(username, password, prepared)
        with self._lock:
            self._all.append(account)
        try:
            yield
        finally:
            with self._lock:
                self._all = [known for known in self._all if known is not account]

    def judge(self, headers: Sequence[bytes], host: str = "") -> tuple[str, Presented]:
        """Return which account the ``Authorization`` headers of a host's request mean, and what they present."""
        if len(headers) > 1:
            return "", Presented("malformed", f"malformed: {len(headers)} Authorization headers")
        with self._lock:
            if headers and headers[0] in self._wrong:
                return self._wrong[headers[0]], Presented("intact", ON_PURPOSE)
            if headers and host in self._right and headers[0] in self._logins:
                username, name = self._logins[headers[0]]
                right = headers[0] == self._right[host]
                return username, INTACT if right else Presented("changed", f"{LOGIN_OF}{name}")
            newest = {known.username: known for known in self._all}
        accounts = (known.prepared for known in newest.values())
        meant, presented = closest(accounts, headers[0] if headers else None)
        return next((known.username for known in newest.values() if known.prepared is meant), ""), presented

    def occurs_in(self, text: str) -> bool:
        """Return whether the login of an account in force stands in a text, as it is or encoded."""
        with self._lock:
            return any(form in text for known in self._all for form in known.copies)

    def without_secrets(self, text: str) -> str:
        """Return text in which no password in force stands any more, as it is or percent-encoded."""
        with self._lock:
            forms = [form for known in self._all for form in known.forms]
        for form in forms:
            text = text.replace(form, "[password]")
        return text


class Fronted(Protocol):
    """A registry that a witness can stand in front of: one of ours, or one that somebody else runs."""

    @property
    def address(self) -> RegistryAddress:
        """Where it answers."""

    @property
    def authority(self) -> Authority:
        """Who vouches for the witness."""

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts the registry."""

    def account(self, username: str | None = None, password: str | None = None) -> AbstractContextManager[Account]:
        """Yield an account that may log in while the context lasts."""

    def client(self, account: Account | None = None) -> RegistryClient:
        """Return a client of its API."""

    def start(self) -> None:
        """End an outage."""

    def stop(self) -> None:
        """Begin an outage."""

    def log(self) -> str:
        """Return the last lines of its own log."""


class Witness:
    """Stands in front of ``registry``, as a context manager inside the registry's.

    ::

        with PrivateRegistry(client) as registry, Witness(registry, bind="172.17.0.1") as witness:
            witness.know_hosts({"172.17.0.5": "edge-1"})
            with witness.account(password="aBcd1234") as account, witness.phase("repave"):
                ...
            assert witness.changes(phase="repave") == []

    It listens on ``bind`` and ``port`` (0: a free one) with a certificate of the registry's authority for ``bind`` and
    ``names``; a registry of somebody else's is told its own name (``renamed``), for several
    may be served at one address. What is reached through :attr:`address` is recorded; :meth:`client` goes past
    it, so that the harness' own pushes are no pulls. Entering raises :exc:`registry.server.PortTaken`.
    """

    def __init__(
        self,
        registry: Fronted,
        *,
        bind: str = "127.0.0.1",
        port: int = 0,
        names: tuple[str, ...] = (),
        renamed: bool = False,
    ) -> None:
        from registry.reverse_proxy import ReverseProxy  # noqa: PLC0415 - it takes 0.3 s, and most processes have no witness
        from registry.tls_listener import TlsListener  # noqa: PLC0415 - with it

        self.registry = registry
        self.address = RegistryAddress(bind, usable_port(bind, port))
        self.journal = RequestLog()
        self.accounts = AccountsInForce()
        self._certificate = registry.authority.issue(bind, *names)
        context = registry.client_context()
        self.proxy = ReverseProxy(registry.address, context, self.journal, self.accounts, renamed=renamed)
        self.listener = TlsListener(self.address, self._certificate, self.proxy)

    def __enter__(self) -> Self:
        self.listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop()

    # --- in the registry's place -------------------------------------------------------------------------------------

    @property
    def authority(self) -> Authority:
        """The authority that a client has to trust."""
        return self.registry.authority

    def client(self, account: Account | None = None) -> RegistryClient:
        """Return a client that goes to the registry itself, past the witness."""
        return self.registry.client(account)

    @contextlib.contextmanager
    def account(
        self, username: str | None = None, password: str | None = None, *, other: str | None = None
    ) -> Iterator[Account]:
        """Yield an account that may log in while the context lasts; pulls are compared with it.

        An account made inside another one's context with the same name is a rotation: the outer password is known as
        the previous one. ``other`` is the password of another registry, to recognise it here. Raises as
        :meth:`registry.server.PrivateRegistry.account`.
        """
        with self.registry.account(username, password) as account, self.expecting(account, other=other):
            yield account

    @contextlib.contextmanager
    def expecting(self, account: Account, *, other: str | None = None) -> Iterator[None]:
        """Compare pulls with a credential that a profile has, whether or not the registry accepts it."""
        with self.accounts.expecting(account.username, account.password, other):
            yield

    @contextlib.contextmanager
    def naming_logins(self) -> Iterator[None]:
        """Forget at the end which login has which name, and which one each host is to present."""
        try:
            yield
        finally:
            self.accounts.forget_logins()

    def start(self) -> None:
        """End an outage."""
        self.registry.start()
        self.listener.start()

    def stop(self) -> None:
        """Begin an outage: connections are reset, new ones refused, here and at the registry."""
        self.listener.stop()
        self.registry.stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def log(self) -> str:
        """Return the last lines of the registry's own log."""
        return self.registry.log()

    @contextlib.contextmanager
    def presenting(self, certificate: ServerCertificate) -> Iterator[None]:
        """Present another certificate while the context lasts; connections that are open end with their request."""
        before, self._certificate = self._certificate, certificate
        self.listener.present(certificate)
        try:
            yield
        finally:
            self._certificate = before
            self.listener.present(before)

    # --- what is going on --------------------------------------------------------------------------------------------

    def know_hosts(self, hosts: Mapping[str, str]) -> None:
        """Set which Edge host has which network address (address to name)."""
        self.journal.know_hosts(hosts)

    def begin(self, phase: str, *, cluster: str = "", case: str = "", hosts: Sequence[str] | None = None) -> None:
        """From now on pulls of these hosts (by default: of all) belong to this phase."""
        self.journal.begin(Mark(phase, cluster, case), hosts)

    @contextlib.contextmanager
    def phase(
        self, phase: str, *, cluster: str = "", case: str = "", hosts: Sequence[str] | None = None
    ) -> Iterator[None]:
        """Assign pulls to this phase while the context lasts."""
        with self.journal.marked(Mark(phase, cluster, case), hosts):
            yield

    # --- what was seen -----------------------------------------------------------------------------------------------

    def pulls(self, cluster: str | None = None, **which: Unpack[Which]) -> list[Pull]:
        """Return the requests that came, in order: all, or those of a cluster, host, phase, case, since a moment."""
        return [pull for pull in self.journal.pulls() if matches(pull, cluster, which)]

    def changes(self, cluster: str | None = None, **which: Unpack[Which]) -> list[Pull]:
        """Return those of them that presented something else than what was configured: see :func:`pulls.changes`."""
        return changes(self.pulls(cluster, **which))

    def overlapping(self, cluster: str | None = None, **which: Unpack[Which]) -> list[tuple[Pull, Pull]]:
        """Return pairs of them during which two hosts pulled at the same time: see :func:`pulls.overlapping`."""
        return overlapping(self.pulls(cluster, **which))

    def pulls_of_image(self, reference: str, cluster: str | None = None, **which: Unpack[Which]) -> list[Pull]:
        """Return those of them that asked for this image's manifest, by the tag or digest that the reference has."""
        name = reference.removeprefix(f"{self.address}/")
        repository, _, wanted = name.rpartition("@" if "@" in name else ":")
        return [
            pull
            for pull in self.pulls(cluster, **which)
            if pull.action == "manifest" and (pull.repository, pull.reference) == (repository, wanted)
        ]

    def failed_connections(self, cluster: str | None = None, **which: Unpack[Which]) -> list[FailedConnection]:
        """Return the connections that did not become a request, such as of clients that refused the certificate."""
        return [failure for failure in self.journal.failures() if matches(failure, cluster, which)]

    def malformed(self, cluster: str | None = None, **which: Unpack[Which]) -> list[Pull | FailedConnection]:
        """Return what was malformed: credentials, requests that were none, connections without TLS."""
        pulls = [pull for pull in self.pulls(cluster, **which) if pull.presented.kind == "malformed"]
        return [*pulls, *(failure for failure in self.failed_connections(cluster, **which) if failure.malformed)]
