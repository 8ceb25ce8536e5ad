"""Logins that all work and are each right in one place only: which one a host presents is said by name."""

from __future__ import annotations

import base64

import pytest

from registry.witness import AccountsInForce

DEPLOYMENT, REPAVE = ("one", "Pass!1"), ("one", "Pass!2")


def header(username: str, password: str) -> list[bytes]:
    """Return the ``Authorization`` header of a login."""
    return [b"Basic " + base64.b64encode(f"{username}:{password}".encode())]


@pytest.fixture
def accounts() -> AccountsInForce:
    """Return what knows two logins by name; each of two hosts is to present another one."""
    known = AccountsInForce()
    for name, login in (("the deployment", DEPLOYMENT), ("the repave", REPAVE)):
        known.name_login(name, *login)
    known.expect_of("edge-1", *DEPLOYMENT)
    known.expect_of("edge-2", *REPAVE)
    return known


@pytest.mark.parametrize(
    ("host", "login", "said"),
    [
        ("edge-1", DEPLOYMENT, "intact"),
        ("edge-2", REPAVE, "intact"),
        ("edge-2", DEPLOYMENT, "the login of the deployment"),
        ("edge-1", REPAVE, "the login of the repave"),
    ],
)
def test_a_login_from_the_wrong_place_is_named(
    accounts: AccountsInForce, host: str, login: tuple[str, str], said: str
) -> None:
    """edge-2 that presents the deployment's login is told so, though that login works as well."""
    with accounts.expecting(*DEPLOYMENT), accounts.expecting("two", "Pass!3"), accounts.expecting(*REPAVE):
        assert accounts.judge(header(*login), host)[1].name == said


def test_without_an_expectation_every_account_in_force_is_right(accounts: AccountsInForce) -> None:
    """A host of which nothing is expected may present any account, and so may all once the names are forgotten."""
    with accounts.expecting(*DEPLOYMENT):
        assert accounts.judge(header(*DEPLOYMENT), "edge-3")[1].intact
        accounts.forget_logins()
        assert accounts.judge(header(*DEPLOYMENT), "edge-2")[1].intact


def test_a_login_that_is_wrong_on_purpose_is_what_was_wanted(accounts: AccountsInForce) -> None:
    """While a case wants it refused it is no change; afterwards it is."""
    with accounts.expecting("three", "right"):
        with accounts.wrong_on_purpose("three", "wrong"):
            account, presented = accounts.judge(header("three", "wrong"), "edge-3")
            assert (account, presented.intact, presented.name) == ("three", True, "wrong on purpose")
        assert not accounts.judge(header("three", "wrong"), "edge-3")[1].intact
