"""A witness in front of registries that give tokens: ours, and some that nobody here wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import docker
import pytest

from harness.existing_registry import trouble_with
from protected import Secret
from registry.address import RegistryAddress
from registry.challenges import challenges
from registry.classify import Presented
from registry.existing import ExistingRegistry, GivenAccount, wipe
from registry.images import push_layout
from registry.layout import write_layout
from registry.manifests import RegistryError
from registry.server import Account
from registry.token_endpoints import TokenEndpoints, login_in
from registry.witness import Witness
from tests.registry.others import KINDS
from tests.registry.samples import tar_of
from tests.registry.witnessing import client_of, session_of

REPOSITORY = "conformance/run/provider"


@pytest.fixture(scope="module", params=KINDS)
def theirs(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Iterator[ExistingRegistry]:
    """Yield somebody's registry that gives tokens."""
    with KINDS[request.param](engine, "127.0.0.1", ()) as registry:
        yield registry


@pytest.fixture
def image(theirs: ExistingRegistry, tmp_path: Path) -> Iterator[str]:
    """Push an image as their pusher and yield its digest; delete it afterwards."""
    write_layout(tmp_path / "layout", [tar_of(tmp_path / "layer", {"/etc/name": "theirs"})], tag="v1")
    with theirs.client() as client:
        yield push_layout(client, tmp_path / "layout", REPOSITORY, "v1").digest
        assert wipe(client, REPOSITORY) == []


def test_a_registry_that_gives_tokens_is_usable(theirs: ExistingRegistry) -> None:
    """A Bearer challenge is as good as Basic; a wrong password is told of the account that has it."""
    assert trouble_with(theirs) == []

    wrong = (GivenAccount(theirs.given[0].username, Secret("wrong-S3cret!")),)
    (said,) = trouble_with(ExistingRegistry(theirs.address, theirs.pusher, wrong, theirs.trusted))
    assert said.startswith(f"user {theirs.given[0].username!r} cannot log in: ")


def test_a_pull_with_a_token_is_told_by_the_password_that_it_was_got_with(theirs: ExistingRegistry, image: str) -> None:
    """The witness leads the client to the token endpoint through itself, and knows its tokens afterwards."""
    with Witness(theirs, renamed=True) as witness, witness.account() as account:
        with client_of(witness, account) as client:
            manifest = client.manifest(REPOSITORY, "v1")
            assert manifest.digest == image
            assert b"".join(client.blob(REPOSITORY, manifest.content["config"]["digest"]))
        seen = [(pull.action, pull.presented.name, pull.account, pull.status) for pull in witness.pulls()]
        assert witness.changes() == []

    assert ("token", "intact", theirs.given[0].username, 200) in seen
    assert ("manifest", "intact", theirs.given[0].username, 200) in seen
    assert ("blob", "intact", theirs.given[0].username, 200) in seen
    assert {name for _, name, _, _ in seen} == {"anonymous", "intact"}


def test_a_changed_password_at_the_token_endpoint_is_seen(theirs: ExistingRegistry, image: str) -> None:
    """A password that was decoded on its way gets no token, and the witness names the change."""
    assert image
    with Witness(theirs, renamed=True) as witness, witness.account() as account:
        changed = Account(account.username, f"{account.password}\n")
        with client_of(witness, changed) as client, pytest.raises(RegistryError, match=r"40[13]"):
            client.manifest(REPOSITORY, "v1")
        (told,) = {(pull.action, pull.presented.kind) for pull in witness.changes()}

    assert told == ("token", "changed")


def test_a_login_in_a_form_is_seen(theirs: ExistingRegistry, tmp_path: Path) -> None:
    """A client that posts user name and password (OAuth, as containerd does first) is compared as any other."""
    with Witness(theirs, renamed=True) as witness, witness.account() as account, session_of(witness, tmp_path) as asks:
        challenge = asks.get(f"{witness.address.url}/v2/", timeout=20).headers["WWW-Authenticate"]
        realm = challenge.partition('realm="')[2].partition('"')[0]
        form = {"grant_type": "password", "service": "s", "client_id": "c", "username": account.username}
        asks.post(realm, data={**form, "password": account.password}, timeout=20)
        asks.post(realm, data={**form, "password": f"{account.password} "}, timeout=20)
        seen = [pull.presented.kind for pull in witness.pulls() if pull.action == "token"]

    assert realm.startswith(f"{witness.address.url}/")
    assert seen == ["intact", "changed"]
    assert witness.pulls()[-1].received > 0


@pytest.mark.parametrize(
    ("realm", "led"),
    [
        ("https://registry.example.org/service/token", "https://witness:1/service/token"),
        ("https://auth.example.org/token?x=1", "https://witness:1/token?x=1"),
        ("/v2/token", "/v2/token"),
    ],
)
def test_a_realm_is_led_through_the_witness(realm: str, led: str) -> None:
    """A realm of the registry's own host or domain is replaced by the witness; a relative one leads there anyhow."""
    endpoints = TokenEndpoints(RegistryAddress("registry.example.org", 5000))
    header = 'Basic realm="r", Bearer realm="{}",service="s"'

    assert endpoints.led_through(header.format(realm), "witness:1") == header.format(led)
    assert endpoints.origin_at(led.removeprefix("https://witness:1"))


@pytest.mark.parametrize(
    "realm",
    [
        "http://registry.example.org/token",
        "https://evil.example.com/token",
        "https://user@registry.example.org/token",
        "https://[x/token",
        "",
    ],
)
def test_a_realm_to_which_no_password_may_go_is_left_as_it_is(realm: str) -> None:
    """A realm without TLS or of another domain is the client's to refuse: the witness sends nothing there."""
    endpoints = TokenEndpoints(RegistryAddress("registry.example.org", 5000))
    header = f'Bearer realm="{realm}",service="s"'

    assert endpoints.led_through(header, "witness:1") == header
    assert not endpoints.origin_at("/token")


@pytest.mark.parametrize("realm", ["https://registry.example.org/token", "token"])
@pytest.mark.parametrize(
    "form", ['Bearer realm="{}",service="{}"', 'bearer service="{0}", Realm = "{0}"', "Bearer realm={},service={}"]
)
def test_a_service_that_is_called_as_the_realm_keeps_its_name(realm: str, form: str) -> None:
    """A token for another service would be refused: only behind a witness, which would blame the product."""
    endpoints = TokenEndpoints(RegistryAddress("registry.example.org", 443))
    (led,) = challenges(endpoints.led_through(form.format(realm, realm), "witness:1"))

    assert led.parameters == {"realm": "https://witness:1/token", "service": realm}


def test_two_endpoints_with_one_path_are_not_confused() -> None:
    """A password never goes to another endpoint than the one that the client was sent to."""
    endpoints = TokenEndpoints(RegistryAddress("registry.example.org", 5000))
    first, second = (f'Bearer realm="https://{name}.example.org/token"' for name in ("a", "b"))

    assert endpoints.led_through(first, "witness") == 'Bearer realm="https://witness/token"'
    assert endpoints.led_through(second, "witness") == second
    assert endpoints.origin_at("/token") == "https://a.example.org"


@pytest.mark.parametrize("answer", [b"", b"[]", b"nothing", b'{"token": 1, "access_token": null}', b'{"token": []}'])
def test_an_answer_without_a_token_teaches_nothing(answer: bytes) -> None:
    """What is no token answer is passed over."""
    endpoints = TokenEndpoints(RegistryAddress("registry.example.org", 5000))
    endpoints.remember(answer, "edge", Presented("intact", "intact"))

    assert endpoints.presented_for([b"Bearer 1"]) is None
    endpoints.remember(json.dumps({"token": "t"}).encode(), "edge", Presented("intact", "intact"))
    assert endpoints.presented_for([b"bearer t"]) == ("edge", Presented("intact", "intact"))
    assert endpoints.presented_for([b"Bearer t", b"Bearer t"]) is None


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (urlencode({"username": "ü", "password": "p:ß"}), [b"Basic w7w6cDrDnw=="]),
        (urlencode({"password": ""}), [b"Basic Og=="]),
        (urlencode({"refresh_token": "r"}), [b"OAuth "]),
        ("", []),
    ],
)
def test_what_a_form_presents(form: str, headers: list[bytes]) -> None:
    """User name and password travel as UTF-8; another grant is another scheme."""
    assert login_in(form.encode()) == headers
