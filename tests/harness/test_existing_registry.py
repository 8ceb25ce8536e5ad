"""A site file may name a registry that somebody else runs; what it refers to is checked, guarded and never told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.sites.site_file import BadSiteFileError, NoOwnAddressError, SiteFile
from registry.existing import AccountNotGivenError, ExistingRegistry
from registry.probes import probes
from tests.harness.test_site_file import SECRET, changed, folder
from tests.harness.test_site_file import read as read_document

__all__ = ["folder"]  # the fixture of that module, asked for by name

Json = dict[str, Any]
PUSHER, READER = "push-S3cret-of-theirs", "pull-S3cret-of-theirs"
THEIRS: Json = {
    "address": "registry.example:5000",
    "pusher": {"username": "push", "password": {"env": "PALETTE_PUSH"}},
    "accounts": [{"username": "pull", "password": {"file": "pull"}}],
}


@pytest.fixture(autouse=True)
def passwords(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the passwords where the site file says."""
    (folder / "pull").write_text(f"{READER}\n")
    monkeypatch.setenv("PALETTE_PUSH", PUSHER)


def read(folder: Path, **existing: object) -> SiteFile:
    """Read a site file whose existing registry is described differently."""
    return read_document(folder, changed("registry", {"existing": {**THEIRS, **existing}}))


def registry_of(site: SiteFile) -> ExistingRegistry:
    """Return the existing registry of a site."""
    assert site.existing_registry is not None
    return site.existing_registry


def test_an_existing_registry_is_read_and_its_secrets_are_guarded(folder: Path) -> None:
    """Address and accounts are read; every password is known to the leak gate by name and stands in no text."""
    site = read(folder)
    registry = registry_of(site)

    assert (str(registry.address), registry.pusher.username) == ("registry.example:5000", "push")
    assert {secret.reveal() for _name, secret in site.secrets()} == {SECRET, PUSHER, READER}
    assert not [text for text in (repr(site), repr(registry)) if PUSHER in text or READER in text]


def test_without_an_address_of_this_machine_nothing_can_stand_there(folder: Path) -> None:
    """Where the hosts reach no address of this machine, asking for it says so, with the key of the site file."""
    site = read(folder)

    assert site.own_address is None
    with pytest.raises(NoOwnAddressError, match=r"registry\.bind"):
        _ = site.registry_bind


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "https://registry.example"}, "registry.existing.address: registry 'https://registry.example' has"),
        ({"accounts": []}, "registry.existing.accounts: found something else; write a list of accounts"),
        ({"accounts": [f"pull:{READER}"]}, "registry.existing.accounts[0]: found something else; write a mapping"),
        ({"pusher": f"push:{PUSHER}"}, "registry.existing.pusher: found something else; write a mapping with username"),
        ({"pusher": {"username": "push"}}, "registry.existing.pusher.password: it is missing; write password: {env: "),
        ({"pusher": {"username": "push", "password": PUSHER}}, "registry.existing.pusher.password: found something"),
        ({"authority": "ca.pem"}, "registry.existing.authority: ca.pem is not a file"),
    ],
)
def test_a_wrong_description_is_refused_without_quoting_a_secret(folder: Path, change: Json, said: str) -> None:
    """What is wrong is named with its place and what would be right, and no message repeats a password."""
    with pytest.raises(BadSiteFileError) as refused:
        read(folder, **change)

    assert re.fullmatch(rf"site\.yaml:\d+: {re.escape(said)}.*", str(refused.value))
    assert PUSHER not in str(refused.value)
    assert READER not in str(refused.value)


def test_a_password_too_short_to_be_searched_for_is_refused(folder: Path) -> None:
    """A password that no artefact could be searched for is refused, unless it is a published probe."""
    account = [{"username": "pull", "password": {"file": "pull"}}]
    (folder / "pull").write_text("abc")
    with pytest.raises(BadSiteFileError, match="found 3 characters; use a password of at least 8"):
        read(folder, accounts=account)

    probe = min((known.password for known in probes()), key=len)
    (folder / "pull").write_bytes(f"{probe}\n".encode())
    site = read(folder, accounts=account)
    assert registry_of(site).given[0].password.reveal() == probe
    assert [name for name, _secret in site.secrets()] == ["Palette API key", "password of registry account push"]


def test_a_password_keeps_its_white_space(folder: Path) -> None:
    """Of the file that holds a password only one line end is left out; blanks at its edges belong to it."""
    (folder / "pull").write_bytes(b" spaced secret \n")

    assert registry_of(read(folder)).given[0].password.reveal() == " spaced secret "


def test_accounts_are_lent_one_by_one(folder: Path) -> None:
    """Every case gets an account that nobody else has; when there is none, or not the one it needs, it hears why."""
    registry = registry_of(read(folder))
    with registry.account() as account:
        assert (account.username, account.password) == ("pull", READER)
        with registry.account("pull", READER) as same:
            assert same == account
        with pytest.raises(AccountNotGivenError, match="2 accounts of the site's registry are needed and 1 are given"):
            registry.account().__enter__()
    for wanted in ({"password": "another"}, {"username": "pull", "password": "another"}, {"username": "nobody"}):
        with pytest.raises(AccountNotGivenError, match="none with the") as refused, registry.account(**wanted):
            pass
        assert "another" not in str(refused.value)
    with registry.account() as again:
        assert again.username == "pull"
