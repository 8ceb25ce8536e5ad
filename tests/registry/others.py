"""Registries that give tokens, of which nobody here wrote the token service: built from Go modules, kept between runs.

Without a Go toolchain, or where a module cannot be had, their tests are skipped with that reason.
"""

from __future__ import annotations

import contextlib
import functools
import json
import secrets
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import docker
import pytest
import requests
from cryptography.hazmat.primitives import serialization

from engine import debian
from engine.pieces import Pieces
from engine.tempdirs import temporary_directory
from lab.images import cache_folder
from protected import Secret
from registry.address import RegistryAddress
from registry.existing import ExistingRegistry, GivenAccount
from registry.server import Account, usable_port
from registry.tls import Authority
from registry.token_realm import ISSUER, TokenRealm, TokenRegistry, serving

PROGRAMS = Path(__file__).with_name("programs")
TOKEN_SERVER = "github.com/docker/distribution/contrib/token-server"
REGISTRY_AUTH = "golang-github-adxgun-registry-auth-dev"
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
    program = _built("token-server", TOKEN_SERVER)
    with _beside(engine, bind, names) as (realm, registry, directory, authority):
        found = existing(registry.address, authority, reader=PUSHER)
        command = [program, "-addr", f"{bind}:{realm.port}", "-issuer", ISSUER, "-realm", "theirs"]
        command += ["-passwd", str(registry.accounts.path), "-key", "issuer.pem"]
        command += ["-tlscert", "tls.crt", "-tlskey", "tls.key"]
        with running(command, directory, functools.partial(_logs_in, found)):
            yield found


@contextlib.contextmanager
def with_debians_token_service(
    engine: docker.DockerClient, bind: str, names: tuple[str, ...]
) -> Iterator[ExistingRegistry]:
    """Run registry:2 and, on a port of its own, the token service that Debian packages: keys by name, no challenge."""
    program = _built("registry-auth", "./registry-auth", _debians_registry_auth)
    with _beside(engine, bind, names) as (realm, registry, directory, authority):
        found = existing(registry.address, authority)
        accounts = json.dumps({known.username: known.password for known in (PUSHER, READER)})
        command = [program, f"{bind}:{realm.port}", ISSUER]
        with running(command, directory, functools.partial(_logs_in, found), accounts):
            yield found


@contextlib.contextmanager
def _beside(
    engine: docker.DockerClient, bind: str, names: tuple[str, ...]
) -> Iterator[tuple[TokenRealm, TokenRegistry, Path, Authority]]:
    """Run registry:2 for a token service to come, and write what that presents and signs with into a directory."""
    authority = Authority()
    realm = _WithSlash(bind, authority.issue(bind), port=usable_port(bind, 0))
    with (
        temporary_directory("token-server") as directory,
        TokenRegistry(engine, realm, bind=bind, names=names, authority=authority) as registry,
    ):
        for known in (PUSHER, READER):
            registry.accounts.add(known.username, known.password)
        assert realm.certificate is not None
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key = realm.signer.signer.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        files = {"issuer.pem": key, "issuer.crt": realm.signer.pem.encode()}
        files |= {"tls.crt": realm.certificate.chain_pem.encode(), "tls.key": realm.certificate.key_pem.encode()}
        for name, content in files.items():
            (directory / name).write_bytes(content)
        yield realm, registry, directory, authority


OURS = "registry:2 with a token service of ours"
KINDS: dict[str, Callable[[docker.DockerClient, str, tuple[str, ...]], AbstractContextManager[ExistingRegistry]]] = {
    OURS: with_our_token_service,
    "registry:2 with Docker's token server": with_dockers_token_server,
    "registry:2 with Debian's token service": with_debians_token_service,
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
def running(command: list[str], directory: Path, answers: Callable[[], bool], given: str = "") -> Iterator[None]:
    """Run a program until the context ends, from the moment at which it answers; ``given`` is its standard input."""
    (directory / "given").write_text(given)
    with (directory / "log").open("w+") as log, (directory / "given").open() as source:
        process = subprocess.Popen(command, cwd=directory, stdin=source, stdout=log, stderr=log)
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


def _built(name: str, package: str, prepare: Callable[[Path], object] = lambda _module: None) -> str:
    """Return the path of a program, built once; ``prepare`` puts into the module what else it is made of."""
    to = cache_folder() / "others" / name
    if not to.is_file():
        with temporary_directory("module") as module:
            shutil.copytree(PROGRAMS, module, dirs_exist_ok=True)
            prepare(module)
            _do(["go", "build", "-o", "program", package], module)
            to.parent.mkdir(parents=True, exist_ok=True)
            new = to.with_suffix(f".{secrets.token_hex(4)}")  # other workers may build it, too
            shutil.copy(module / "program", new)
            new.replace(to)
    return str(to)


def _debians_registry_auth(module: Path) -> None:
    """Take the sources of Debian's package, which this machine need not have, from the mirror that builds use."""
    (theirs := module / "registry-auth" / "theirs").mkdir()
    (room := module / "room").mkdir()
    recipe = debian.Recipe(packages=(REGISTRY_AUTH,), variant="extract", suite="trixie")
    try:
        with (
            debian._built(recipe, room, lambda _said: None, what=REGISTRY_AUTH) as pieces,
            tarfile.open(fileobj=Pieces(pieces), mode="r|") as tar,
        ):
            for member in tar:
                name = Path(member.name)
                if name.match("adxgun/registry-auth/*.go") and not name.match("*_test.go"):
                    content = tar.extractfile(member)
                    assert content is not None
                    (theirs / name.name).write_bytes(content.read())
    except (debian.ProgramMissing, debian.BuildFailed) as error:
        pytest.skip(f"a registry of others cannot be built: {error}")


def _do(command: list[str], where: Path) -> None:
    """Run a command, or skip the test that needs what it makes."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}: registries of others cannot be built")
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        pytest.skip(f"a registry of others cannot be built: {said[-1]}")
