"""The private registry: ``registry:2`` with TLS and htpasswd, started in a fraction of a second, gone afterwards.

It runs as a container that reads its configuration from one temporary directory and stores there what is pushed. The
container uses the machine's network: it listens on the one address it is told, keeps its port when it is stopped and
started, and no forwarding stands between a pull and the registry.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Self

import yaml

from engine.ownership import Owner
from engine.tempdirs import temporary_directory
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.engine_image import DEFAULT_IMAGE, registry_image
from registry.htpasswd import AccountFile, replace_file
from registry.runners import ContainerRunner, RegistryFailed
from registry.tls import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from docker import DockerClient

    from engine.debian import Say

START_SECONDS = 20.0
"""How long a registry may take until it answers; it takes 0.1 to 0.4 s, more on a machine that is busy building."""

POLL_SECONDS = 0.003
"""Pause between two looks whether it answers: with a longer one the pause would be most of the start."""

_ANSWER_SECONDS = 2.0  # for one look; somebody else may hold the port and say nothing
_LIFE_SIGN_SECONDS = 0.1  # between two looks whether the program still runs; asking the engine is not free
_HARNESS = "conformance-harness"  # the account with which the harness itself pushes
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - translated, not bound


class PortTaken(RuntimeError):  # noqa: N818 - it says what is the matter
    """The port that was asked for is in use."""


@dataclass(frozen=True)
class Account:
    """A user name and a password that the registry accepts; the password is not part of its text."""

    username: str
    password: str = field(repr=False)


class PrivateRegistry:
    """A registry with TLS and htpasswd, as a context manager.

    ::

        with PrivateRegistry(client) as registry, registry.account(password="p!") as account:
            registry.address, registry.authority.pem, account.username

    ``client`` is the engine's. The registry listens on address ``bind`` and ``port``
    (0: a free one); its certificate is for ``bind`` and the further ``names``. ``labels`` go on the container; the
    default makes this process answer for it, so that a later run clears it should this one be killed.

    Entering raises :exc:`PortTaken`, :exc:`RegistryFailed`, or what getting the image raises; whatever was made until
    then is removed. Leaving removes container and files, and looks whether they are gone.
    """

    accounts: AccountFile
    """Who may log in; prefer :meth:`account`, which undoes what it does."""

    def __init__(
        self,
        client: DockerClient,
        *,
        image: str = DEFAULT_IMAGE,
        bind: str = "127.0.0.1",
        port: int = 0,
        names: tuple[str, ...] = (),
        authority: Authority | None = None,
        labels: Mapping[str, str] | None = None,
        say: Say = print,
    ) -> None:
        self._engine, self._image, self._say = client, image, say
        self._bind = RegistryAddress(bind, usable_port(bind, port))
        self.address = RegistryAddress(_ANY_ADDRESS.get(bind, bind), self._bind.port)
        self.authority = authority or Authority()
        self._names = names
        self._labels = labels or Owner.this_process("private-registry").labels
        self._harness = Account(_HARNESS, secrets.token_urlsafe(24))
        self._exits = contextlib.ExitStack()
        self._runner: ContainerRunner | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as unwinding:  # also for what is half made, also on an interrupt
            directory = unwinding.enter_context(temporary_directory("registry"))
            self.accounts = AccountFile(_accounts_path(directory))
            self.accounts.add(self._harness.username, self._harness.password)
            self._runner = self._make_runner(directory, self._configure(directory))
            unwinding.callback(self._runner.remove)
            self.start()
            self._exits = unwinding.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def container(self) -> str:
        """The name of its container, while its context lasts."""
        assert self._runner is not None
        return self._runner.name

    @contextlib.contextmanager
    def account(self, username: str | None = None, password: str | None = None) -> Iterator[Account]:
        """Yield an account that may log in while the context lasts; what is not given is made up.

        A name that had an account gets its former password back afterwards. Raises
        :exc:`registry.htpasswd.UnusableCredential` when the registry could never accept it.
        """
        account = Account(
            f"edge-{secrets.token_hex(3)}" if username is None else username,
            f"{secrets.token_urlsafe(12)}!" if password is None else password,
        )
        before = self.accounts.add(account.username, account.password)
        try:
            yield account
        finally:
            self.accounts.put_back(account.username, before)

    def client(self, account: Account | None = None) -> RegistryClient:
        """Return a client of the registry's API for ``account``; without one, the harness' own, which may do all."""
        chosen = account or self._harness
        return RegistryClient(self.address, chosen.username, chosen.password, authorities=self.authority.pem)

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts the registry's authority and no other."""
        return self.authority.client_context()

    def start(self) -> None:
        """Start the registry after a :meth:`stop` and wait until it answers; address and content stay.

        Raises :exc:`RegistryFailed` when it dies or does not answer within :data:`START_SECONDS`.
        """
        runner = self._entered()
        runner.start()
        started = looked = time.monotonic()
        while not self.is_answering():
            now = time.monotonic()
            if now - started > START_SECONDS:
                raise self._failure(f"gave no answer in {START_SECONDS:.0f} s")
            if now - looked > _LIFE_SIGN_SECONDS:
                looked = now
                if not runner.is_running():
                    raise self._failure("died while starting")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Take the registry away at once: an outage. Content and accounts stay."""
        self._entered().stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def is_answering(self) -> bool:
        """Return whether this very registry (its certificate says so) asks for a login at its address."""
        connection = HTTPSConnection(
            self.address.host, self.address.port, timeout=_ANSWER_SECONDS, context=self.authority.client_context()
        )
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == HTTPStatus.UNAUTHORIZED
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def log(self) -> str:
        """Return the last lines of the registry's own log; it never has passwords in it."""
        return self._entered().last_words()

    def _entered(self) -> ContainerRunner:
        if self._runner is None:
            raise RuntimeError(
                "the private registry is not running; use it as a context manager: with PrivateRegistry(…)"
            )
        return self._runner

    def _failure(self, what: str) -> RegistryFailed:
        said = self._entered().last_words() or "(nothing)"
        return RegistryFailed(f"the registry at {self.address} {what}; its log ends:\n{said}")

    def _make_runner(self, directory: Path, config: Path) -> ContainerRunner:
        image = registry_image(self._engine, self._image, say=self._say)
        return ContainerRunner(
            self._engine, image, directory=directory, config=config, port=self._bind.port, labels=self._labels
        )

    def _configure(self, directory: Path) -> Path:
        certificate = self.authority.issue(self.address.host, *self._names)
        replace_file(directory / "server.crt", certificate.chain_pem.encode(), mode=0o600)
        replace_file(directory / "server.key", certificate.key_pem.encode(), mode=0o600)
        text = yaml.safe_dump(_configuration(directory, self._bind) | {"auth": self._authentication(directory)})
        replace_file(directory / "config.yml", text.encode(), mode=0o600)
        return directory / "config.yml"

    def _authentication(self, directory: Path) -> dict[str, Any]:
        """Return how the registry asks for a login (its configuration's ``auth``)."""
        return {"htpasswd": {"realm": "private registry", "path": str(_accounts_path(directory))}}


def _accounts_path(directory: Path) -> Path:
    return directory / "htpasswd"


def _configuration(directory: Path, bind: RegistryAddress) -> dict[str, Any]:
    tls = {"certificate": str(directory / "server.crt"), "key": str(directory / "server.key")}
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "storage")},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},  # nothing here grows old enough
        },
        "http": {"addr": str(bind), "secret": secrets.token_hex(16), "tls": tls},
    }


def usable_port(bind: str, port: int) -> int:
    """Return ``port``, or a free one for 0. Raises :exc:`PortTaken`, naming the port, and for an address not ours."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            if not port:
                raise PortTaken(
                    f"cannot listen on address {bind}: {error.strerror}; choose an address of this machine"
                ) from error
            raise PortTaken(
                f"cannot listen on {bind} port {port}: {error.strerror}; choose another, or 0 for a free one"
            ) from error
        return int(probe.getsockname()[1])
