"""The project's seeded faults: each changes what it says, where it says, and names what must notice."""

from __future__ import annotations

import base64

import pytest

from harness import requirements
from lab.agent.secret import Credential
from lab.faults import catalogue, families
from lab.injection import APPLY_VERSION, DEPLOY_CREDENTIAL, POINTS, UPGRADE_CREDENTIAL, Behaviour, Fault, Where
from lab.palette.store import LayerRecords
from lab.palette.values import DeclaredCredential, OsLayerValues

FAULTS = list(catalogue().values())
KNOWN = set(requirements.load())
TEXT = base64.b64encode(b"Harnes").decode()  # eight alphanumerics: every decoder accepts it
ODD = "Passw0rdPassw"  # thirteen: only a decoder that ignores errors does something with it
SPECIAL = "Pass!w#rd*1"  # what the guide recommends: no decoder accepts it


def at_repave(fault: Fault, password: str) -> str:
    """Return the password that is presented at a first repave."""
    credential = Credential("registry.example", "user", password)
    found: Credential = Behaviour((fault,)).at(UPGRADE_CREDENTIAL, lambda given, _nth: given, credential, 1)
    assert (found.registry, found.username) == ("registry.example", "user")
    return found.password


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_says_what_must_notice_it(fault: Fault) -> None:
    """Every fault takes over injection points of the lab, names requirements that exist, and says why it is there."""
    assert fault.replacements
    assert set(fault.replacements) <= set(POINTS)
    assert fault.catches
    assert [name for name in fault.catches if name not in KNOWN] == [], "not in suites/requirements.yaml"
    assert fault.because


def test_every_requirement_has_a_fault_that_it_must_notice() -> None:
    """A requirement that no fault claims to make fail proves nothing, and only a whole matrix would say so."""
    assert KNOWN - {name for fault in FAULTS for name in fault.catches} == set()


def test_no_two_faults_have_one_name() -> None:
    """A name means one fault: of two the catalogue would lose one without a word."""
    names = [fault.name for faults in families().values() for fault in faults]

    assert sorted(names) == sorted(catalogue())


def test_a_name_can_be_typed() -> None:
    """A fault's name is written as it is typed on a command line: small letters, digits, hyphens."""
    assert [
        fault.name for fault in FAULTS if not fault.name.replace("-", "").isalnum() or fault.name.lower() != fault.name
    ] == []


CACHES = ("user-name", "registry", "registry-without-port", "repository", "profile")


@pytest.mark.parametrize("key", CACHES)
def test_a_cache_of_logins_gives_the_first_login_again(key: str) -> None:
    """A second version with the same user, registry and repository gets the first one's password."""
    first, second = (
        LayerRecords("", "", OsLayerValues(f"r.example:1/a:{tag}", DeclaredCredential("r.example:1", "user", password)))
        for tag, password in (("v1", "first"), ("v2", "second"))
    )
    behaviour = Behaviour((catalogue()[f"login-kept-by-{key}"],), Where(cluster="a"))
    given = [behaviour.at(APPLY_VERSION, lambda _old, new: new, None, layers) for layers in (first, second)]

    assert [layers.os.credential.password for layers in given] == ["first", "first"]


def test_alphanumeric_base64_is_the_known_issue() -> None:
    """Any alphanumeric password is decoded at repave, what is no base64 as far as it goes; others stay as they are."""
    fault = catalogue()["alphanumeric-base64"]

    assert at_repave(fault, TEXT) == "Harnes"
    assert at_repave(fault, ODD) != ODD
    assert at_repave(fault, SPECIAL) == SPECIAL


def test_strict_base64_decodes_what_a_strict_decoder_accepts() -> None:
    """Whatever a strict standard decoder accepts is decoded at repave, symbols and padding included; nothing else."""
    fault = catalogue()["strict-base64"]

    assert at_repave(fault, TEXT) == "Harnes"
    assert at_repave(fault, "YWI=") == "ab"
    assert at_repave(fault, "a+/b").encode("utf-8", "surrogateescape") == base64.b64decode("a+/b")
    assert [at_repave(fault, password) for password in (ODD, SPECIAL)] == [ODD, SPECIAL]


@pytest.mark.parametrize("name", ["alphanumeric-base64", "strict-base64"])
def test_the_known_issue_spares_the_deployment(name: str) -> None:
    """At deployment the password is presented as it is, which is why a good deployment proves nothing about repave."""
    credential = Credential("registry.example", "user", TEXT)

    assert Behaviour((catalogue()[name],)).at(DEPLOY_CREDENTIAL, lambda given: given, credential) == credential


@pytest.mark.parametrize("name", ["alphanumeric-base64", "strict-base64"])
def test_without_a_credential_there_is_nothing_to_change(name: str) -> None:
    """A cluster without credentials stays without them."""
    assert Behaviour((catalogue()[name],)).at(UPGRADE_CREDENTIAL, lambda given, _nth: given, None, 1) is None
