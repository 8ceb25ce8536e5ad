"""How the OS layer may be written: forms of YAML, spellings of keys, the guide's own snippets."""

from __future__ import annotations

import pytest
import yaml

from fixtures.guide import GUIDE, snippets
from fixtures.layers import Layers
from fixtures.private_registry import SiteRegistry
from fixtures.requirements import requirement
from fixtures.running.evidence import Evidence
from fixtures.sites.site import Site
from palette.os_layer import Form, KeySpelling

PASSWORD = "Pa:ss w0rd'#1"
FORMS = (Form.DOUBLE, Form.DOUBLE_AS_TYPED, Form.SINGLE, Form.LITERAL_STRIP, Form.FOLDED_STRIP)


@requirement("PROFILE-11", phase="deploy")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_of_yaml_means_the_same_password(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, form: Form
) -> None:
    """Double quoted, single quoted, as a literal or a folded block: the same password is presented."""
    evidence.example(repr(PASSWORD), expected=f"every pull presents {PASSWORD!r}", password=PASSWORD)
    with private_registry.account(password=PASSWORD) as account:
        with site.deploy(layers.fresh(account, password_form=form)) as cluster:
            assert private_registry.witness.changes(cluster, phase="deploy") == []


@requirement("PROFILE-11", phase="deploy")
def test_a_bare_password_without_special_characters_is_text(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """A password that is written without quotes and looks like nothing else is presented as it is written."""
    with private_registry.account(password="Passw0rd-bare") as account:
        with site.deploy(layers.fresh(account, password_form=Form.PLAIN)) as cluster:
            assert private_registry.witness.changes(cluster, phase="deploy") == []


@requirement("PROFILE-12", phase="deploy", records=True)
@pytest.mark.parametrize("spelling", list(KeySpelling), ids=lambda spelling: spelling.name)
def test_the_spelling_of_the_keys_is_recorded(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, spelling: KeySpelling
) -> None:
    """The guide's keys ``user`` and ``certificates`` work; whether the pack page's do as well is recorded."""
    with private_registry.account() as account:
        with site.begin_deploy(layers.fresh(account, spelling=spelling)) as cluster:
            runs = cluster.runs_or_fails()
            evidence.note(f"X2: keys {' and '.join(spelling.value)}: {'honoured' if runs else 'not honoured'}")

            assert runs or spelling is not KeySpelling.GUIDE, "the guide's own spelling of the keys is not honoured"


@requirement("PROFILE-13", phase="profile", records=True)
@pytest.mark.parametrize("number", [0, 1], ids=["system-uri", "provider-credentials"])
def test_the_guides_snippet_as_printed(evidence: Evidence, number: int) -> None:
    """What becomes of the guide's snippet when it is copied as printed is reported as a finding about the document."""
    if not GUIDE.exists():
        pytest.skip("the guide is not beside the project")
    evidence.note(finding_about(snippets(GUIDE.read_text())[number]))

    assert evidence.notes, "nothing was found out about the snippet"


def finding_about(snippet: str) -> str:
    """Say what a YAML reader makes of a snippet of the guide."""
    try:
        read = yaml.safe_load(snippet)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        return f"documentation: the snippet as printed is not YAML: {problem}"
    empty = [key for key, value in read.items() if value is None]
    if empty:
        return f"documentation: the snippet as printed is read with {', '.join(empty)} empty; its indentation is lost"
    return "documentation: the snippet as printed is read as it is meant"


@requirement("PROFILE-13", "PROFILE-07", phase="deploy")
def test_the_guides_shape_deploys(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """In its true shape, indented as meant, the guide's OS layer deploys."""
    with private_registry.account() as account:
        layer = layers.fresh(account)
        read = yaml.safe_load(layer.values())

        assert list(read) == ["pack", "providerCredentials", "options"], f"the layer's root has {list(read)}"
        with site.deploy(layer) as cluster:
            assert cluster.state() == "Running"


@requirement("PROFILE-14", phase="deploy")
@pytest.mark.parametrize("wrong", ["no user", "no password", "a list"])
def test_incomplete_credentials_do_not_deploy(
    site: Site, layers: Layers, private_registry: SiteRegistry, wrong: str
) -> None:
    """Provider credentials that lack a key, or are a list, never end in a running cluster, and something says so."""
    with private_registry.account() as account:
        layer = layers.fresh(account)
        values = yaml.safe_load(layer.values())
        if wrong == "a list":
            values["providerCredentials"] = [values["providerCredentials"], values["providerCredentials"]]
        else:
            del values["providerCredentials"][wrong.removeprefix("no ")]
        with site.begin_deploy(layers.verbatim(layer.image, yaml.safe_dump(values))) as cluster:
            cluster.wait_for_error()

            assert cluster.state() != "Running"


@requirement("PROFILE-15", phase="deploy", records=True)
def test_credentials_without_a_registry_are_recorded(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """What a site does with credentials that name no registry is recorded; no page says what it should do."""
    with private_registry.account() as account:
        values = yaml.safe_load(layers.fresh(account).values())
        del values["providerCredentials"]["registry"]
        layer = layers.verbatim(values["options"]["system.uri"], yaml.safe_dump(values))
        with site.begin_deploy(layer) as cluster:
            runs = cluster.runs_or_fails()
            evidence.note(f"credentials that name no registry are {'used for system.uri' if runs else 'not used'}")

            assert runs == (cluster.state() == "Running"), "the state and the events of the cluster disagree"
