"""What the real registry makes of the vectors: the cheapest tier that can say so, at a few milliseconds each."""

from __future__ import annotations

import base64
import contextlib
import http.client
import random
import ssl
from collections.abc import Iterator

import bcrypt
import docker
import pytest

from fixtures.credential_classes import PASSWORD_CLASSES
from fixtures.vectors import Vector, load
from registry.htpasswd import UnusableCredential, replace_file
from registry.probes import probes
from registry.server import PrivateRegistry
from registry.transforms import TRANSFORMS, Context, wire

OK, UNAUTHORIZED = 200, 401
PASSWORDS = load("passwords", applicable=False)
USERNAMES = load("usernames")
LONGEST = 72  # bytes that bcrypt reads


class Login:
    """One kept-alive connection to a registry on which anybody may try to log in."""

    def __init__(self, registry: PrivateRegistry) -> None:
        self.registry = registry
        trust = ssl.create_default_context(cadata=registry.authority.pem)
        self._connection = http.client.HTTPSConnection(registry.address.host, registry.address.port, context=trust)

    def status(self, username: str | bytes, password: str | bytes) -> int:
        """Send exactly these bytes as Basic credentials and give the status."""
        credentials = base64.b64encode(wire(username) + b":" + wire(password)).decode()
        self._connection.request("GET", "/v2/", headers={"Authorization": f"Basic {credentials}"})
        response = self._connection.getresponse()
        response.read()
        return response.status

    @contextlib.contextmanager
    def account_by_hand(self, username: str, hashed: bytes) -> Iterator[None]:
        """Write an account with the hash of these bytes into the file, past every check of ours."""
        path = self.registry.accounts.path
        before = path.read_bytes()
        line = f"{username}:".encode() + bcrypt.hashpw(hashed, bcrypt.gensalt(4)) + b"\n"
        replace_file(path, before + line, mode=0o600)
        try:
            yield
        finally:
            replace_file(path, before, mode=0o600)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@pytest.fixture(scope="module")
def login(engine: docker.DockerClient) -> Iterator[Login]:
    """Yield a registry of which the tests of this file change the accounts, and a connection to it."""
    labels = {"palette-edge-conformance.test": "vectors"}
    with contextlib.ExitStack() as exits:
        registry = exits.enter_context(PrivateRegistry(engine, labels=labels, say=lambda _text: None))
        yield exits.enter_context(contextlib.closing(Login(registry)))


@pytest.fixture(scope="module")
def users(login: Login) -> dict[str, str]:
    """Return every password vector that the registry accepts an account; maps the vector's id to the user name."""
    accepted = [vector for vector in PASSWORDS if vector.registry_accepts and vector.is_text]
    named = {vector.id: vector.details.get("username", f"user-{vector.id}") for vector in accepted}
    for vector in accepted:
        login.registry.accounts.add(named[vector.id], vector.text)
    return named


def accepted(vectors: tuple[Vector, ...]) -> list[Vector]:
    """Keep the vectors that can be an account."""
    return [vector for vector in vectors if vector.registry_accepts and vector.is_text]


def refused(vectors: tuple[Vector, ...]) -> list[Vector]:
    """Keep the vectors that cannot be an account."""
    return [vector for vector in vectors if not vector.registry_accepts]


@pytest.mark.parametrize("vector", accepted(PASSWORDS), ids=lambda vector: vector.id)
def test_the_registry_takes_every_password_that_is_marked_so(
    login: Login, users: dict[str, str], vector: Vector
) -> None:
    """A password that is marked as accepted logs in with exactly its bytes, and with none that software makes of it."""
    username = users[vector.id]
    dice = random.Random(vector.id)  # noqa: S311 - test data
    context = Context(vector.value, username, "previous", "other")
    made = {known.apply(context) for known in dice.sample(TRANSFORMS, k=12)} - {None, vector.value}

    assert login.status(username, vector.value) == OK
    for changed in sorted(value for value in made if value is not None)[:3]:
        same_to_bcrypt = changed[:LONGEST] == vector.value
        assert login.status(username, changed) == (OK if same_to_bcrypt else UNAUTHORIZED), changed


@pytest.mark.parametrize("vector", refused(PASSWORDS), ids=lambda vector: vector.id)
def test_what_is_marked_as_not_accepted_is_refused_by_its_rule(login: Login, vector: Vector) -> None:
    """A password that is marked as not accepted never becomes an account; the refusal names the rule of the record."""
    with pytest.raises(UnusableCredential) as caught:
        login.registry.accounts.add("nobody", vector.text)

    assert caught.value.rule == vector.details["registry_rule"]
    assert login.status("nobody", vector.value[:LONGEST]) == UNAUTHORIZED


@pytest.mark.parametrize("vector", accepted(USERNAMES), ids=lambda vector: vector.id)
def test_the_registry_takes_every_user_name_that_is_marked_so(login: Login, vector: Vector) -> None:
    """A user name that is marked as accepted logs in by exactly its bytes, and case matters."""
    other_case = vector.text.swapcase()
    with login.registry.account(vector.text, "Passw0rd!"):
        assert login.status(vector.value, "Passw0rd!") == OK
        assert login.status(vector.value + b"x", "Passw0rd!") == UNAUTHORIZED
        if other_case != vector.text:
            assert login.status(other_case, "Passw0rd!") == UNAUTHORIZED


@pytest.mark.parametrize("vector", refused(USERNAMES), ids=lambda vector: vector.id)
def test_user_names_that_are_marked_as_unwritable_cannot_log_in(login: Login, vector: Vector) -> None:
    """A user name that is marked as not accepted does not get in, even when it is written into the file by hand."""
    with pytest.raises(UnusableCredential) as caught:
        login.registry.accounts.add(vector.text, "Passw0rd!")

    assert caught.value.rule == vector.details["registry_rule"]
    if "\n" not in vector.text:  # that would be two lines, one of them without a colon
        with login.account_by_hand(vector.text, b"Passw0rd!"):
            assert login.status(vector.value, "Passw0rd!") == UNAUTHORIZED


def test_passwords_are_bytes(login: Login) -> None:
    """The two encodings of the same text are two passwords, and so are its two normal forms."""
    text = "p\u00e4ssw\u00f6rd"
    with login.account_by_hand("latin", text.encode("latin-1")):
        assert login.status("latin", text.encode("latin-1")) == OK
        assert login.status("latin", text) == UNAUTHORIZED
    with login.registry.account("composed", "caf\u00e9"):
        assert login.status("composed", "caf\u00e9") == OK
        assert login.status("composed", "cafe\u0301") == UNAUTHORIZED


def test_the_registry_reads_72_bytes_of_a_password(login: Login) -> None:
    """The hash of 72 bytes lets in longer passwords that begin with them, which is why longer ones are refused."""
    with login.registry.account("long", "x" * LONGEST):
        assert login.status("long", "x" * LONGEST) == OK
        assert login.status("long", "x" * (LONGEST + 1)) == OK
        assert login.status("long", "x" * (LONGEST - 1)) == UNAUTHORIZED


def test_the_registry_sees_what_follows_a_nul(login: Login) -> None:
    """The registry tells a password with NUL from the part before it, unlike the C programs that pass it on."""
    with login.account_by_hand("nul", b"a\0b"):
        assert login.status("nul", b"a\0b") == OK
        assert login.status("nul", b"a") == UNAUTHORIZED


def test_empty_user_name_and_password_are_a_credential(login: Login) -> None:
    """The registry takes an empty user name with an empty password, and takes no credential for neither."""
    with login.registry.account("", ""):
        assert login.status("", "") == OK
    assert login.status("", "") == UNAUTHORIZED


def test_every_probe_can_be_an_account(login: Login) -> None:
    """Each probe logs in: the accepted ones as accounts, the others by the hash of their first 72 bytes."""
    for probe in probes():
        if probe.registry_accepts:
            with login.registry.account("probe", probe.password):
                assert login.status("probe", probe.password) == OK, probe.id
        else:
            with login.account_by_hand("probe", probe.password.encode()[:LONGEST]):
                assert login.status("probe", probe.password) == OK, probe.id


def test_drawn_passwords_are_accepted(login: Login) -> None:
    """Members of every class that is marked as accepted, plain and varied, log in to the real registry."""
    numbers = (0, 1, 1_234_567)
    members = {
        f"{each.name}-{number}": each.member(number)
        for each in PASSWORD_CLASSES.values()
        if each.accepted
        for number in numbers
    }
    for name, password in members.items():
        login.registry.accounts.add(name, password)

    assert {name for name, password in members.items() if login.status(name, password) != OK} == set()
