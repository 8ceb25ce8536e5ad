"""Registries that give tokens, of which nobody here wrote the token service: built from Go modules, kept between runs.

Without a Go toolchain, or where a module cannot be had, their tests are skipped with that reason.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from cryptography.hazmat.primitives import serialization

from engine.tempdirs import temporary_directory
from lab.images import cache_folder
from protected import Secret
from registry.address import RegistryAddress
from registry.existing import ExistingRegistry, GivenAccount
from registry.server import Account, usable_port
from registry.tls import Authority
from registry.token_realm import ISSUER, TokenRealm, TokenRegistry, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker

PROGRAMS = Path(__file__).with_name("programs")
TOKEN_SERVER = "github.com/docker/distribution/contrib/token-server"
BUILD_SECONDS = 1800.0
START_SECONDS = 60.0
# letters and digits only, and whole groups of four: software may decode it
PUSHER = Account("conformance", "PushS3cretOfTheirs12")
READER = Account("reader", "ReadS3cretOfTheirs12")


class _WithSlash(TokenRealm):
    """A realm whose path ends with a slash."""

    @property
    def url(self) -> str:
        """The realm as a challenge names it."""
        return f"{super().url}/"


@contextlib.contextmanager
def with_our_token_service(
    engine: docker.DockerClient, bind: str, names: tuple[str, ...]
) -> Iterator[ExistingRegistry]:
    """Run registry:2 and, on a port of its own, a token service of ours."""
    authority = Authority()
    with (
        serving(TokenRealm(bind, authority.issue(bind))) as realm,
        TokenRegistry(engine, realm, bind=bind, names=names, authority=authority) as registry,
    ):
        realm.accounts.update((known.username, known.password) for known in (PUSHER, READER))
        yield existing(registry.address, authority)


@contextlib.contextmanager
def with_dockers_token_server(
    engine: docker.DockerClient, bind: str, names: tuple[str, ...]
) -> Iterator[ExistingRegistry]:
    """Run registry:2 and, on a port of its own, the token server that Docker published beside it.

    A user may do everything below the own name there and nothing elsewhere; so pusher and reader are one.
    """
    program, authority = token_server(), Authority()
    realm = _WithSlash(bind, authority.issue(bind), port=usable_port(bind, 0))
    with (
        temporary_directory("token-server") as directory,
        TokenRegistry(engine, realm, bind=bind, names=names, authority=authority) as registry,
    ):
        for known in (PUSHER, READER):
            registry.accounts.add(known.username, known.password)
        found = existing(registry.address, authority, reader=PUSHER)
        assert realm.certificate is not None
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key = realm.signer.signer.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        files = {"issuer.pem": key, "tls.crt": realm.certificate.chain_pem.encode()}
        for name, content in {**files, "tls.key": realm.certificate.key_pem.encode()}.items():
            (directory / name).write_bytes(content)
        command = [program, "-addr", f"{bind}:{realm.port}", "-issuer", ISSUER, "-realm", "theirs"]
        command += ["-passwd", str(registry.accounts.path), "-key", str(directory / "issuer.pem")]
        command += ["-tlscert", str(directory / "tls.crt"), "-tlskey", str(directory / "tls.key")]
        with running(command, directory, functools.partial(_logs_in, found)):
            yield found


KINDS: dict[str, Callable[[docker.DockerClient, str, tuple[str, ...]], AbstractContextManager[ExistingRegistry]]] = {
    "registry:2 with a token service of ours": with_our_token_service,
    "registry:2 with Docker's token server": with_dockers_token_server,
}


def existing(address: RegistryAddress, authority: Authority, reader: Account = READER) -> ExistingRegistry:
    """Return a registry as a site file names it."""
    pusher, puller = (GivenAccount(known.username, Secret(known.password)) for known in (PUSHER, reader))
    return ExistingRegistry(address, pusher, (puller,), authority.pem)


def _logs_in(found: ExistingRegistry) -> bool:
    try:
        return found.check() == []
    except requests.RequestException:
        return False


@contextlib.contextmanager
def running(command: list[str], directory: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Run a program until the context ends, from the moment at which it answers."""
    with (directory / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            ends = time.monotonic() + START_SECONDS
            while not answers():
                if process.poll() is not None or time.monotonic() > ends:
                    pytest.fail(f"{command[0]} does not answer:\n{(directory / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(START_SECONDS)


@functools.cache
def token_server() -> str:
    """Return the path of Docker's token server."""
    to = cache_folder() / "others" / "token-server"
    if not to.is_file():
        with temporary_directory("module") as module:
            shutil.copytree(PROGRAMS, module, dirs_exist_ok=True)
            _go(module, "build", "-o", "program", TOKEN_SERVER)
            to.parent.mkdir(parents=True, exist_ok=True)
            new = to.with_suffix(f".{secrets.token_hex(4)}")  # other workers may build it, too
            shutil.copy(module / "program", new)
            new.replace(to)
    return str(to)


def _go(where: Path, *arguments: str) -> None:
    """Run the Go toolchain, or skip the test that needs what it makes."""
    if shutil.which("go") is None:
        pytest.skip("no Go toolchain: registries of others cannot be built")
    done = subprocess.run(
        ["go", *arguments], cwd=where, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        pytest.skip(f"a registry of others cannot be built: {said[-1]}")
