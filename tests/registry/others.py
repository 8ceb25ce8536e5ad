"""Registries that give tokens, of which nobody here wrote the token service: built from Go modules, kept between runs.

Without a Go toolchain, or where a module cannot be had, their tests are skipped with that reason.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
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
GITEA, GITEA_VERSION = "code.gitea.io/gitea", "v1.26.0"
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


@contextlib.contextmanager
def gitea(_: docker.DockerClient, bind: str, names: tuple[str, ...]) -> Iterator[ExistingRegistry]:
    """Run Gitea, whose registry gives tokens of its own at its own address."""
    program, authority = gitea_program(), Authority()
    address = RegistryAddress(bind, usable_port(bind, 0))
    certificate = authority.issue(bind, *names)
    with temporary_directory("gitea") as directory:
        (directory / "tls.crt").write_text(certificate.chain_pem)
        (directory / "tls.key").write_text(certificate.key_pem)
        configuration = directory / "app.ini"
        configuration.write_text(_GITEA.format(directory=directory, address=address, sources=Path(program).parent))
        command = [program, "--config", str(configuration), "--work-path", str(directory)]
        found = existing(address, authority)
        environment = {"HOME": str(directory), "USER": "root", "PATH": os.environ["PATH"]}
        subprocess.run([*command, "migrate"], check=True, capture_output=True, env=environment)
        for known in (PUSHER, READER):
            made = [*command, "admin", "user", "create", "--username", known.username, "--password", known.password]
            made += ["--email", f"{known.username}@example.org", "--must-change-password=false"]
            subprocess.run(made, check=True, capture_output=True, env=environment)
        with running([*command, "web"], directory, functools.partial(_logs_in, found), environment):
            yield found


_GITEA = """
APP_NAME = theirs
RUN_USER = root
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = https
HTTP_ADDR = {address.host}
HTTP_PORT = {address.port}
ROOT_URL = {address.url}/
CERT_FILE = {directory}/tls.crt
KEY_FILE = {directory}/tls.key
STATIC_ROOT_PATH = {sources}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {directory}/gitea.db
[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2_v1
[service]
DISABLE_REGISTRATION = true
REQUIRE_SIGNIN_VIEW = true
[log]
MODE = console
LEVEL = Error
"""

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
def running(
    command: list[str], directory: Path, answers: Callable[[], bool], environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Run a program until the context ends, from the moment at which it answers."""
    with (directory / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log, env=environment)
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
        shutil.copytree(PROGRAMS, to.parent / "module", dirs_exist_ok=True)
        _go(to.parent / "module", "build", "-o", str(to), TOKEN_SERVER)
    return str(to)


@functools.cache
def gitea_program() -> str:
    """Return the path of Gitea, which stands in the folder of its sources: it reads its templates there."""
    sources = cache_folder() / "others" / f"gitea-{GITEA_VERSION}"
    if not (sources / "gitea").is_file():
        got = _go(PROGRAMS, "mod", "download", "-json", f"{GITEA}@{GITEA_VERSION}")
        shutil.copytree(json.loads(got)["Dir"], sources, dirs_exist_ok=True, copy_function=shutil.copyfile)
        for folder in (sources, *(path for path in sources.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        _go(sources, "build", "-tags", "sqlite sqlite_unlock_notify", "-o", "gitea", ".")
    return str(sources / "gitea")


def _go(where: Path, *arguments: str) -> str:
    """Run the Go toolchain, or skip the test that needs what it makes."""
    if shutil.which("go") is None:
        pytest.skip("no Go toolchain: registries of others cannot be built")
    done = subprocess.run(
        ["go", *arguments], cwd=where, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        pytest.skip(f"a registry of others cannot be built: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout
