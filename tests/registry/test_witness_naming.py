"""The witness says what was presented, by whom and when, and tells nobody the credential itself."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry import tls_connection
from registry.images import Image, find
from registry.manifests import RegistryError, digest_of
from registry.server import Account
from registry.witness import Witness
from tests.registry.samples import ImageMaker
from tests.registry.witnessing import ALPHANUMERIC, basic, client_of, drained, raw_connection, session_of


def test_an_unchanged_password_is_intact(witness: Witness) -> None:
    """The first request is anonymous, the next presents the account intact; nothing counts as changed."""
    with witness.account(password=ALPHANUMERIC) as account, witness.phase("deploy", cluster="c1"):
        client_of(witness, account).login()

    pulls = witness.pulls("c1", phase="deploy")
    assert [(pull.presented.name, pull.status) for pull in pulls] == [("anonymous", 401), ("intact", 200)]
    assert pulls[1].account == account.username
    assert pulls[1].user_agent.startswith("python-requests/")
    assert witness.changes("c1") == []


def test_a_decoded_password_is_named_with_phase_host_and_status(witness: Witness, tmp_path: Path) -> None:
    """What a host made of the password is named in the phase in which it happened, with the registry's answer to it."""
    witness.know_hosts({"127.0.0.1": "edge-1"})
    session = session_of(witness, tmp_path)
    with witness.account("edge", ALPHANUMERIC):
        with witness.phase("deploy", cluster="c1", case="PW-017"):
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": basic("edge", ALPHANUMERIC)})
        with witness.phase("repave", cluster="c1", case="PW-017", hosts=["edge-1"]):
            wrong = basic("edge", base64.b64decode(ALPHANUMERIC))
            session.get(f"{witness.address.url}/v2/a/b/manifests/v2", headers={"Authorization": wrong})

    (change,) = witness.changes("c1", case="PW-017")
    assert (change.phase, change.host, change.presented.name, change.status) == (
        "repave",
        "edge-1",
        "base64-decoded",
        401,
    )
    assert (change.action, change.repository, change.reference) == ("manifest", "a/b", "v2")
    assert witness.changes("c1", phase="deploy") == []
    assert witness.changes("another cluster") == []


def test_a_login_in_another_header_is_no_intact_one(witness: Witness, tmp_path: Path) -> None:
    """A right login that is sent a second time, in a header that proxies log, is told as malformed in any form."""
    session, right = session_of(witness, tmp_path), basic("edge", ALPHANUMERIC)
    with witness.account("edge", ALPHANUMERIC), witness.phase("deploy", cluster="c1"):
        for told in (ALPHANUMERIC, ALPHANUMERIC.encode().hex(), f"token={right[6:].decode()}", "nothing"):
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": right, "X-Debug": told})

    assert [pull.presented.kind for pull in witness.pulls("c1")] == ["malformed"] * 3 + ["intact"]


def test_after_a_rotation_the_old_password_is_named(witness: Witness, tmp_path: Path) -> None:
    """A host that still presents the password before the rotation presents the previous one, not an intact account."""
    session = session_of(witness, tmp_path)
    with witness.account("edge", "old password"), witness.account("edge", "new password"):
        for password in ("old password", "new password"):
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": basic("edge", password)})

    assert [pull.presented.name for pull in witness.pulls()] == ["replaced by the previous password", "intact"]


def test_a_password_that_the_registry_refuses_can_be_expected(witness: Witness) -> None:
    """A profile's wrong password counts as intact when it is what the profile says; the registry says 401."""
    profile = Account("edge", "wrong password")
    with (
        witness.account("edge", "right password"),
        witness.expecting(profile),
        pytest.raises(RegistryError, match="401"),
    ):
        client_of(witness, profile).login()

    assert [(pull.presented.name, pull.status) for pull in witness.pulls()] == [("anonymous", 401), ("intact", 401)]


def test_two_accounts_are_told_apart(witness: Witness) -> None:
    """With several accounts in force each pull is compared with the one it means."""
    with witness.account("profile", "from the profile") as one, witness.account("userdata", "from user data") as other:
        client_of(witness, other).login()
        client_of(witness, one).login()

    assert [pull.account for pull in witness.pulls() if pull.has_credential] == ["userdata", "profile"]


def test_pulls_of_an_image_are_found_by_its_reference(witness: Witness, make_image: ImageMaker) -> None:
    """By tag or digest; other images are not counted."""
    image: Image = make_image({"a": "1"}, repository="pulls/image", tag="v7").at(witness.address)
    with witness.account() as account:
        client = client_of(witness, account)
        find(client, "pulls/image", "v7")
        find(client, "pulls/image", image.digest)

    assert len([pull for pull in witness.pulls_of_image(image.reference) if pull.status == 200]) == 1
    assert len(witness.pulls_of_image(image.pinned)) == 1
    assert witness.pulls_of_image(witness.address.reference("pulls/image", "v8")) == []


def test_what_a_client_has_seen_the_witness_tells(witness: Witness) -> None:
    """As soon as an answer has arrived, its status and bytes are in the journal: nobody has to wait."""
    with witness.account() as account:
        client = client_of(witness, account)
        client.push_blob("a/seen", digest_of(b"12345"), 5, [b"12345"])
        for _ in range(20):
            assert b"".join(client.blob("a/seen", digest_of(b"12345"))) == b"12345"
            assert (witness.pulls()[-1].status, witness.pulls()[-1].sent) == (200, 5)
        assert [pull.received for pull in witness.pulls() if pull.method == "PUT"] == [5]


def test_the_harness_own_pushes_are_no_pulls(witness: Witness, make_image: ImageMaker) -> None:
    """What goes past the witness is not recorded."""
    make_image({"a": "1"})
    witness.client().login()

    assert witness.pulls() == []


def test_many_clients_at_once_are_each_named_rightly(witness: Witness) -> None:
    """Under parallel pulls of several accounts no record is taken for another's."""

    def pull(number: int) -> None:
        account = Account(f"edge-{number % 5}", f"password {number % 5}")
        with client_of(witness, account) as client:
            for _ in range(5):
                client.login()

    with ThreadPoolExecutor(8) as pool:
        accounts = [witness.account(f"edge-{number}", f"password {number}") for number in range(5)]
        for context in accounts:
            context.__enter__()
        try:
            list(pool.map(pull, range(40)))
        finally:
            for context in reversed(accounts):
                context.__exit__(None, None, None)

    pulls = [pull for pull in witness.pulls() if pull.has_credential]
    assert len(pulls) == 200
    assert {pull.presented.name for pull in pulls} == {"intact"}
    assert Counter(pull.account for pull in pulls) == {f"edge-{number}": 40 for number in range(5)}


def test_no_credential_leaves_the_witness(
    witness: Witness,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A planted password is in no log at any level, no output, no record, no text of an object, whatever went wrong."""
    canary = "Canary4711Canary"
    forms = {canary, base64.b64encode(f"edge:{canary}".encode()).decode(), canary[::-1]}
    monkeypatch.setattr(tls_connection, "HEADER_SECONDS", 0.2)
    session = session_of(witness, tmp_path)
    headers = [basic("edge", canary), canary.encode(), f"Blubb {canary}".encode(), f"Bearer {canary}".encode()]
    headers += [basic(canary, canary[::-1]), b"Basic " + canary.encode() + b"=", basic("edge", canary.encode()[:9])]
    caplog.set_level(logging.WARNING, "urllib3")  # the test's own client, which would log its paths
    with caplog.at_level(logging.DEBUG), witness.account("edge", canary) as account, witness.phase("deploy"):
        for header in headers:
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": header, "User-Agent": f"x/{canary}"})
        session.get(f"{witness.address.url}/v2/{canary}/manifests/{canary}?password={canary}")
        for rubbish in (f"Authorization: Basic \x00{canary}", f"{canary}\r\n", f"A: {canary * 5000}"):
            with raw_connection(witness) as connection:
                connection.sendall(f"GET /v2/ HTTP/1.1\r\n{rubbish}\r\n\r\n".encode())
                connection.recv(4096)
        with raw_connection(witness) as connection:
            connection.sendall(f"GET /v2/ HTTP/1.1\r\nAuthorization: {canary}".encode())
            drained(connection)
        shown = [repr(one) for one in (account, witness, witness.journal, witness.accounts, witness.listener)]
        shown += [f"{one!r} {one}" for one in (*witness.pulls(), *witness.failed_connections())]
    out, err = capfd.readouterr()
    heard = "\n".join([caplog.text, out, err, *shown])

    assert len(witness.pulls()) >= 11
    assert not [form for form in forms if form in heard]
