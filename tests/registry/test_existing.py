from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.existing_registry import trouble_with
from protected import Secret
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.existing import ExistingRegistry, GivenAccount, wipe
from registry.images import Image
from registry.manifests import RegistryError
from registry.server import PrivateRegistry
from registry.tls import Authority, ServerCertificate, sign
from registry.witness import Witness
from tests.palette.servers import answer, serving
from tests.registry.samples import ImageMaker
from tests.registry.test_hostile_registry import AUTHORITY, scripted

PUSHER, READER = GivenAccount("theirs", Secret("push-S3cret!")), GivenAccount("reader", Secret("pull-S3cret!"))


@pytest.fixture
def existing(private_registry: PrivateRegistry) -> Iterator[ExistingRegistry]:
    """Yield somebody's registry: a real one, of which only address, authority and two accounts are known."""
    for known in (PUSHER, READER):
        private_registry.accounts.add(known.username, known.password.reveal())
    yield ExistingRegistry(private_registry.address, PUSHER, (READER,), private_registry.authority.pem)
    private_registry.accounts.remove(PUSHER.username, READER.username)


def test_a_usable_registry_has_nothing_wrong(existing: ExistingRegistry) -> None:
    """A registry with TLS that asks for Basic and accepts every account is usable."""
    assert trouble_with(existing) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda e: ExistingRegistry(e.address, PUSHER, (GivenAccount("reader", Secret("wrong!")),), e.trusted),
            "'reade",
        ),
        (lambda e: ExistingRegistry(e.address, PUSHER, (READER,)), "the server's certificate is not accepted: "),
        (lambda e: ExistingRegistry(e.address, PUSHER, (READER,), "no PEM"), "the file of its authority is no cert"),
        (
            lambda e: ExistingRegistry(RegistryAddress("127.0.0.1", 9), PUSHER, (READER,), e.trusted),
            "cannot be reached",
        ),
    ],
    ids=["password", "authority", "no PEM", "away"],
)
def test_what_is_wrong_with_a_registry_is_said(
    existing: ExistingRegistry, change: Callable[[ExistingRegistry], ExistingRegistry], said: str
) -> None:
    """A wrong password, an authority that is not the registry's, and one that is away are told apart in a line."""
    (found,) = trouble_with(change(existing))

    assert said in found
    assert "\n" not in found
    assert "0x" not in found
    assert "S3cret" not in found


def test_a_registry_with_neither_basic_nor_tokens_is_not_usable() -> None:
    """A registry that asks for a login that no profile can have is told apart."""
    negotiate = {"WWW-Authenticate": "Negotiate"}
    with scripted(lambda *_: (401, negotiate, b"")) as registry:
        address = RegistryAddress("127.0.0.1", registry.port)
        found = trouble_with(ExistingRegistry(address, PUSHER, (READER,), AUTHORITY.pem))

    assert found == ["it asks for Negotiate; right are Basic and Bearer (tokens)"]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_token_endpoint_that_refuses_with_403_refuses_the_login(status: int) -> None:
    """GitLab answers a wrong password with 403 at its token endpoint; that is no login without rights."""
    challenge = {"WWW-Authenticate": 'Bearer realm="/jwt/auth",service="s"'}
    with scripted(lambda _m, path, _l: (status, {}, b"") if "jwt" in path else (401, challenge, b"")) as registry:
        address = RegistryAddress("127.0.0.1", registry.port)
        found = trouble_with(ExistingRegistry(address, PUSHER, (READER,), AUTHORITY.pem))

    assert [line.partition(": ")[0] for line in found] == ["user 'theirs' cannot log in", "user 'reader' cannot log in"]


def test_an_account_without_rights_is_not_told_to_have_a_wrong_password() -> None:
    """An account that gets a token and may not pull, as a robot of another project, is told as that."""
    challenge = {"WWW-Authenticate": 'Bearer realm="/token",service="s"'}

    def answer(_method: str, path: str, login: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "t"}'
        return (200, {}, b"") if path == "/v2/" and login else (401, challenge, b"")

    with scripted(answer) as registry:
        address = RegistryAddress("127.0.0.1", registry.port)
        found = trouble_with(ExistingRegistry(address, PUSHER, (READER,), AUTHORITY.pem))

    assert [line.partition(": ")[0] for line in found] == [
        "user 'theirs' logs in, and may not pull below conformance/",
        "user 'reader' logs in, and may not pull below conformance/",
    ]


def test_a_witness_in_front_of_somebodys_registry_sees_what_is_presented(
    existing: ExistingRegistry, make_image: ImageMaker
) -> None:
    """Through the witness images are had as from the registry itself, and every login is compared with the account."""
    image = make_image({"/etc/name": "theirs"})
    with Witness(existing, renamed=True) as witness, witness.account() as account:
        pem = witness.authority.pem
        with RegistryClient(witness.address, account.username, account.password, authorities=pem) as client:
            assert client.manifest(image.repository, image.tag).digest == image.digest
        with RegistryClient(witness.address, account.username, "wrong", authorities=pem) as client:
            with pytest.raises(RegistryError, match="401"):
                client.login()
        presented = [pull.presented.name for pull in witness.pulls() if pull.has_credential]

    assert (account.username, pem != existing.trusted) == ("reader", True)
    assert [name.partition(":")[0] for name in presented] == ["intact", "unknown change"]


def test_a_renamed_registry_answers_with_no_address_at_all(existing: ExistingRegistry, tmp_path: Path) -> None:
    """A registry that is told its own name does not send clients past the witness to where it thinks it is."""
    bundle = tmp_path / "witness.pem"
    with Witness(existing, renamed=True) as witness, requests.Session() as session:
        bundle.write_text(witness.authority.pem)
        session.trust_env, session.verify = False, str(bundle)
        session.auth = (PUSHER.username, PUSHER.password.reveal())
        answer = session.post(f"{witness.address.url}/v2/team/renamed/blobs/uploads/", timeout=10)

    assert answer.status_code == 202
    assert answer.headers["Location"].startswith("/v2/team/renamed/blobs/uploads/")


def test_an_outage_in_front_of_somebodys_registry_leaves_it_alone(existing: ExistingRegistry) -> None:
    """An outage refuses connections at the witness; the registry itself goes on for everybody else."""
    with Witness(existing, renamed=True) as witness:
        witness.stop()
        with RegistryClient(witness.address, authorities=witness.authority.pem) as client:
            with pytest.raises(requests.ConnectionError):
                client.login()
        assert trouble_with(existing) == []
        witness.start()
        with RegistryClient(witness.address, READER.username, READER.password, authorities=witness.authority.pem) as c:
            c.login()


def test_without_an_authority_the_machines_own_are_trusted(existing: ExistingRegistry) -> None:
    """Where no authority is named, those of the machine vouch, and host names are checked."""
    context = ExistingRegistry(existing.address, PUSHER, (READER,)).client_context()

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("trusted", ["root", "intermediate"])
def test_any_authority_of_a_chain_is_enough(trusted: str) -> None:
    """As Go, which pulls, the harness takes an intermediate authority without its root for one to be trusted."""
    root = Authority("company root")
    between = Authority(signer=sign("issuing authority", by=root.signer, authority=True, path_length=0))
    leaf = between.issue("127.0.0.1")
    with serving(answer({}), certificate=ServerCertificate(leaf.chain_pem + between.pem, leaf.key_pem)) as server:
        address, pem = RegistryAddress("127.0.0.1", server.port), {"root": root, "intermediate": between}[trusted].pem
        with RegistryClient(address, authorities=pem) as client:
            client.login()
        with socket.create_connection((address.host, address.port)) as way:
            context = ExistingRegistry(address, PUSHER, (READER,), pem).client_context()
            context.wrap_socket(way, server_hostname=address.host).close()


def test_a_certificate_that_go_takes_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.13 on Python refuses authorities and certificates without key identifiers, which containerd pulls with."""
    chain, key = without_key_identifiers("127.0.0.1")
    strict = ssl.create_default_context(cadata=chain)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    with serving(answer({}), certificate=ServerCertificate(chain, key)) as server:
        address = RegistryAddress("127.0.0.1", server.port)
        with socket.create_connection((address.host, address.port)) as way, pytest.raises(ssl.SSLError):
            strict.wrap_socket(way, server_hostname=address.host)
        monkeypatch.setattr(ssl, "create_default_context", lambda: strict)
        for authorities in (chain, None):
            with RegistryClient(address, authorities=authorities) as client:
                client.login()


def without_key_identifiers(address: str) -> tuple[str, str]:
    """Return a chain and its key as a script of openssl's makes them: identifiers are missing, nothing is critical."""
    issuer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a script's authority")])
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    made = []
    for subject, public, extension in (
        (own, key.public_key(), x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])),
        (name, issuer.public_key(), x509.BasicConstraints(ca=True, path_length=None)),
    ):
        builder = x509.CertificateBuilder(name, subject, public, x509.random_serial_number(), now, now + timedelta(1))
        signed = builder.add_extension(extension, critical=False).sign(issuer, hashes.SHA256())
        made.append(signed.public_bytes(serialization.Encoding.PEM).decode())
    form = serialization.PrivateFormat.PKCS8
    return "".join(made), key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_a_repository_is_wiped_and_no_other(existing: ExistingRegistry, make_image: ImageMaker) -> None:
    """Every tag of a repository goes, also several of one image; another repository stays as it was."""
    layers: list[dict[str, str]] = [{"/etc/name": "wiped"}]
    kept: Image = make_image(*layers, repository="team/kept")
    for tag in ("v1", "v2"):
        make_image(*layers, repository="conformance/run/provider", tag=tag)
    with existing.client() as client:
        assert client.tags("conformance/run/provider") == ["v1", "v2"]
        assert wipe(client, "conformance/run/provider") == []
        assert client.tags("conformance/run/provider") == []
        assert client.manifest(kept.repository, kept.tag).digest == kept.digest


def test_what_could_not_be_deleted_is_named(existing: ExistingRegistry, make_image: ImageMaker) -> None:
    """Where deleting is refused, each tag is named with the registry's own words."""
    image = make_image({"/etc/name": "stays"}, repository="conformance/stays/provider")

    class Refusing(RegistryClient):
        """A client of a registry that has deleting switched off."""

        def delete_manifest(self, repository: str, digest: str) -> None:
            raise RegistryError(f"DELETE {repository}@{digest}", 405, "UNSUPPORTED: The operation is unsupported.")

    pusher = existing.pusher
    with Refusing(existing.address, pusher.username, pusher.password, authorities=existing.trusted) as client:
        (left,) = wipe(client, image.repository)

    assert left.startswith(f"image {existing.address}/conformance/stays/provider:v1: DELETE ")
    assert "405 UNSUPPORTED" in left
