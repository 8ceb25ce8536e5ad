"""How the OS layer may be written: forms of YAML, spellings of keys, the guide's own snippets."""

from __future__ import annotations

import pytest
import yaml

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from harness.evidence import Evidence
from harness.guide import snippets
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.os_layer import Form, KeySpelling

PASSWORD = "Pa:ss w0rd'#1"
#: Forms of YAML, each with a tag to pull: one that YAML could read as a number, or a fresh one.
FORMS = {
    Form.DOUBLE: "1.10",
    Form.DOUBLE_AS_TYPED: "0474915",
    Form.SINGLE: "72044e0",
    Form.LITERAL_STRIP: "v1.4.5",
    Form.FOLDED_STRIP: "",
}


@requirement("PROFILE-11", "PROFILE-05", phase="deploy", witness=True)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_of_yaml_means_the_same_password(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, form: Form
) -> None:
    """Quoted in any way or as a block, the same password is presented, and the tag is pulled as it is written."""
    evidence.example(repr(PASSWORD), expected=f"every pull presents {PASSWORD!r}", password=PASSWORD)
    image = layers.images.named(FORMS[form]) if FORMS[form] else layers.images.fresh()
    with private_registry.account(password=PASSWORD) as account:
        with site.begin_deploy(layers.fresh(account, image=image.reference, password_form=form)) as cluster:
            runs = cluster.runs_or_fails()
            asked = {pull.reference for pull in private_registry.witness.pulls(cluster)}

            assert image.tag in asked, f"the registry was asked for {sorted(asked)}"
            assert private_registry.witness.changes(cluster, phase="deploy") == []
            assert runs, f"the cluster does not run: {cluster.errors()[0].message}"


@requirement("PROFILE-11", "PROFILE-15", phase="deploy", witness=True)
def test_a_bare_password_and_a_registry_with_a_path_are_text(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """A password without quotes is presented as it is written, at an address with a project behind it as in Harbor."""
    with private_registry.account(password="Passw0rd-bare") as account:
        credentials = layers.registry.credentials(account, registry=f"{private_registry.address}/conformance")
        layer = layers.fresh(None, credentials=credentials, password_form=Form.PLAIN)
        with site.deploy(layer) as cluster:
            assert private_registry.witness.changes(cluster, phase="deploy") == []


@requirement("PROFILE-12", phase="deploy", records=True)
def test_the_guides_spelling_of_the_keys_is_honoured(evidence: Evidence, deployed: Use) -> None:
    """The guide's keys ``user`` and ``certificates`` work."""
    with deployed() as shared:
        evidence.note(f"X2: keys {' and '.join(shared.cluster.layer.spelling.value)}: honoured")

        assert shared.cluster.layer.spelling is KeySpelling.GUIDE
        assert shared.cluster.state() == "Running", "the guide's own spelling of the keys is not honoured"


@requirement("PROFILE-12", phase="deploy", records=True)
def test_the_packs_spelling_of_the_keys_is_recorded(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """Whether the keys of the pack's page work as the guide's do is recorded."""
    spelling = KeySpelling.PACK_PAGE
    with private_registry.account() as account:
        with site.begin_deploy(layers.fresh(account, spelling=spelling)) as cluster:
            runs = cluster.runs_or_fails()
            evidence.note(f"X2: keys {' and '.join(spelling.value)}: {'honoured' if runs else 'not honoured'}")

            assert runs == (cluster.state() == "Running"), "the state and the events of the cluster disagree"


@requirement("PROFILE-13", phase="profile", records=True)
def test_the_guides_shape_with_its_indentation_lost(
    layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """Printed flat, as a page may print it, the guide's OS layer is read with its parts empty."""
    with private_registry.account() as account:
        layer = layers.fresh(None, credentials=layers.registry.credentials(account, certificates=None))
        flat = "\n".join(line.strip() for line in layer.values().splitlines())

    evidence.note(f"indentation lost: {what_is_read(flat)}")
    assert what_is_read(flat) == "read with pack, content, providerCredentials, options empty"


@requirement("PROFILE-13", phase="profile", records=True)
def test_the_guides_mask_in_place_of_a_password(evidence: Evidence) -> None:
    """Asterisks without quotes in the password's place, as a page may show them, are no YAML at all."""
    masked = "providerCredentials:\n  user: user\n  password: ******\n"

    evidence.note(f"password masked: {what_is_read(masked)}")
    assert what_is_read(masked).startswith("not YAML: ")
    assert what_is_read(masked.replace("******", '"******"')) == "read as it is meant"


@requirement("PROFILE-13", phase="profile", records=True)
def test_the_snippets_of_the_given_guide(guide: str, evidence: Evidence) -> None:
    """What a YAML reader makes of the snippets in the file that ``--guide`` names is recorded."""
    found = [what_is_read(snippet) for snippet in snippets(guide)]
    for number, finding in enumerate(found, start=1):
        evidence.note(f"documentation: snippet {number} as printed is {finding}")

    assert found, "the page has no YAML snippet"


def what_is_read(text: str) -> str:
    """Return what a YAML reader makes of a text that is meant to be an OS layer."""
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return f"not YAML: {getattr(error, 'problem', None) or error}"
    empty = [key for key, value in read.items() if value is None]
    return f"read with {', '.join(empty)} empty" if empty else "read as it is meant"


@requirement("PROFILE-13", "PROFILE-07", phase="deploy")
def test_the_guides_shape_deploys(deployed: Use) -> None:
    """In its true shape, indented as meant, the guide's OS layer deploys."""
    with deployed() as shared:
        read = yaml.safe_load(shared.cluster.layer.values())

        assert list(read) == ["pack", "providerCredentials", "options"], f"the layer's root has {list(read)}"
        assert shared.cluster.state() == "Running"


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
            assert not cluster.runs_or_fails(), f"with {wrong} in its credentials the cluster runs"


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
