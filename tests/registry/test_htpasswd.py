from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.context import SpawnProcess
from pathlib import Path

import bcrypt
import pytest

from registry.client import RegistryClient
from registry.htpasswd import AccountFile, UnusableCredential, replace_file, unusable
from registry.manifests import RegistryError
from registry.server import Account, PrivateRegistry

LONGEST = "é" * 36  # 72 bytes


def status_of_login(registry: PrivateRegistry, username: str, password: str) -> int:
    """Log in with a fresh client and give the status."""
    with registry.client(Account(username, password)) as client:
        try:
            client.login()
        except RegistryError as error:
            return error.status
    return 200


@pytest.mark.parametrize(
    ("username", "password", "rule"),
    [
        ("a:b", "pw", "colon-in-name"),
        ("a\nb", "pw", "line-end-in-name"),
        ("#a", "pw", "hash-before-name"),
        (" a", "pw", "blank-before-name"),
        ("\u00a0a", "pw", "blank-before-name"),
        ("a\ud800", "pw", "not-unicode"),
        ("a" * 65536, "pw", "name-too-long"),
        ("a", "p\udc00w", "not-unicode"),
        ("a", "p\0w", "nul-in-password"),
        ("a", LONGEST + "x", "password-too-long"),
    ],
)
def test_a_credential_that_the_file_cannot_express_is_refused(
    username: str, password: str, rule: str, tmp_path: Path
) -> None:
    """The refusal names the rule, quotes no password, and leaves the file as it was."""
    accounts = AccountFile(tmp_path / "htpasswd")
    accounts.add("before", "pw")

    with pytest.raises(UnusableCredential) as caught:
        accounts.add(username, password)

    assert caught.value.rule == rule
    assert password not in str(caught.value) or password == "pw"
    assert accounts.names == ("before",)


@pytest.mark.parametrize("username", ["#a", " a", "\u00a0a", "\r"])
def test_the_registry_agrees_that_a_refused_name_cannot_log_in(
    private_registry: PrivateRegistry, username: str
) -> None:
    """A name that we refuse, written into the file all the same, does not get in."""
    path = private_registry.accounts.path
    before = path.read_bytes()
    entry = bcrypt.hashpw(b"pw", bcrypt.gensalt(4))
    replace_file(path, before + username.encode() + b":" + entry + b"\n", mode=0o600)
    try:
        assert unusable(username, "pw")
        assert status_of_login(private_registry, username, "pw") == 401
    finally:
        replace_file(path, before, mode=0o600)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("edge", "aBcd1234"),
        ("edge", ""),
        ("", "pw"),
        ("edge", LONGEST),
        ("edge", "p:w:"),
        ("edge", "line\nline\t"),
        ("edge", " pw "),
        ("robot$p+x", "пароль😀"),
        ("user@realm", "pässwörd"),
        ("DOMAIN\\user", "\ufeffpw"),
        ("trailing ", "pw"),
        ("\ufeffmarked", "pw"),
        ("car\rriage", "pw"),
        ("x#", "# pw"),
    ],
)
def test_the_registry_accepts_what_we_accept(private_registry: PrivateRegistry, username: str, password: str) -> None:
    """An account that is not refused can log in, and only with its own password."""
    with private_registry.account(username, password):
        assert status_of_login(private_registry, username, password) == 200
        assert status_of_login(private_registry, username, password + "x" if len(password) < 36 else "x") == 401


def test_every_change_is_seen_by_the_very_next_request(private_registry: PrivateRegistry) -> None:
    """Rotation, removal and coming back take effect at once, however fast they follow each other."""
    for number in range(30):
        private_registry.accounts.add("quick", f"pw-{number}")
        assert status_of_login(private_registry, "quick", f"pw-{number}") == 200
        assert status_of_login(private_registry, "quick", f"pw-{number - 1}") == 401
    private_registry.accounts.remove("quick", "never-there")

    assert status_of_login(private_registry, "quick", "pw-29") == 401


def test_no_login_fails_while_other_accounts_change(private_registry: PrivateRegistry) -> None:
    """Logins of an account succeed without exception while a large file is replaced as fast as possible."""
    accounts = private_registry.accounts
    for number in range(500):
        accounts.add(f"crowd-{number}", "pw")
    changes, done = 0, threading.Event()

    def keep_changing() -> None:
        nonlocal changes
        while not done.is_set():
            accounts.add("churn", f"pw-{changes}")
            changes += 1

    with private_registry.account() as account, private_registry.client(account) as client:
        changer = threading.Thread(target=keep_changing)
        changer.start()
        try:
            for _ in range(150):
                client.login()
        finally:
            done.set()
            changer.join()
            accounts.remove("churn", *(f"crowd-{number}" for number in range(500)))

    assert changes > 20


def test_a_context_gives_a_name_its_former_password_back(private_registry: PrivateRegistry) -> None:
    """An account made inside another one's context with the same name goes, and the outer password counts again."""
    with private_registry.account("shared", "outer"):
        with private_registry.account("shared", "inner"):
            assert status_of_login(private_registry, "shared", "outer") == 401
        assert status_of_login(private_registry, "shared", "outer") == 200
    assert "shared" not in private_registry.accounts.names


def _add_many(path: Path, prefix: str) -> None:
    accounts = AccountFile(path)
    for number in range(25):
        accounts.add(f"{prefix}-{number}", "pw")


def test_processes_do_not_lose_each_others_accounts(tmp_path: Path) -> None:
    """Accounts added by several processes and threads at the same time are all there."""
    path = tmp_path / "htpasswd"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_many, args=(path, f"process-{number}")) for number in range(2)]
    threads = [threading.Thread(target=_add_many, args=(path, f"thread-{number}")) for number in range(2)]
    workers: list[threading.Thread | SpawnProcess] = [*processes, *threads]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(AccountFile(path).names) == 100
    assert not [entry for entry in tmp_path.iterdir() if entry.name not in ("htpasswd", ".htpasswd.lock")]


def test_a_change_that_fails_leaves_the_file_alone(tmp_path: Path) -> None:
    """When the new content cannot be put in place, the old one stays and no temporary file does."""
    target = tmp_path / "file"
    target.mkdir()  # a directory cannot be replaced by a file

    with pytest.raises(OSError, match="directory"):
        replace_file(target, b"new", mode=0o600)

    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Nobody else can read the hashes."""
    accounts = AccountFile(tmp_path / "htpasswd")
    accounts.add("edge", "pw")

    assert accounts.path.stat().st_mode & 0o777 == 0o600


def test_an_anonymous_client_is_refused(private_registry: PrivateRegistry) -> None:
    """Without a credential the registry says 401."""
    client = RegistryClient(private_registry.address, authorities=private_registry.authority.pem)
    with client, pytest.raises(RegistryError) as caught:
        client.login()

    assert caught.value.status == 401
