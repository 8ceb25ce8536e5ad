"""Where the vendor's pages contradict each other (docs/palette.md §1.10): a site is judged by the guide.

X1 stands beside the other edits of credentials, X2 beside the forms of YAML, X3 and X4 beside what they are about.
"""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from fixtures.user_data import user_data
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.errors import NotFoundError
from palette.reading import at
from palette.transport import Call

#: Paths that a page has and the published API has not (X8).
UNPUBLISHED = ("/v1/spectroclusters/{uid}/events", "/v1/spectroclusters/{uid}/features/logFetcher/logs")


@requirement("PROFILE-16", "REPAVE-11", phase="repave", records=True, witness=True)
def test_credentials_authenticate_and_redirect_nothing(
    layers: Layers, private_registry: SiteRegistry, evidence: Evidence, repaved: Use
) -> None:
    """Both pulls ask for the very repository of system.uri (X5), and the repave's presents the stored login (X6)."""
    with repaved() as shared:
        pulls = private_registry.witness.pulls(shared.cluster)
        asked = {pull.repository for pull in pulls} - {"/v2/"}
        users = private_registry.witness.users(shared.cluster, phase="repave")
        named = layers.images.repository
        evidence.note(f"X5: hosts asked for {', '.join(sorted(asked))}; system.uri has {named}")
        evidence.note(f"X6: the repave's pull presents {'the stored login' if users else 'no login'}")

        assert asked == {named}, f"image references were rewritten: hosts asked for {sorted(asked)}"
        assert users == {shared.account.username}, "the stored credentials did not reach the pull of the repave"


@requirement("PREC-02", phase="deploy", records=True)
@pytest.mark.parametrize("form", ["a list", "one text"])
def test_the_form_of_an_external_registrys_certificates_is_recorded(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, form: str
) -> None:
    """Certificates of an external registry in user data are taken as a list; whether as one text is recorded (X7)."""
    pem = private_registry.authority.pem
    with private_registry.account() as account:
        (host,) = site.free_hosts(1)
        registry = {
            "domain": str(private_registry.address),
            "username": account.username,
            "password": account.password,
            "certificates": [pem] if form == "a list" else pem,
        }
        with (
            user_data(host, {"externalRegistries": {"registries": [registry]}}),
            site.begin_deploy(layers.fresh(None), on=(host,)) as cluster,
        ):
            runs = cluster.runs_or_fails()
            evidence.note(f"X7: certificates of an external registry as {form}: {'used' if runs else 'not used'}")

            assert runs or form == "one text", "certificates as the installer reference has them are not used"


@requirement("EVENT-03", phase="validation", records=True)
def test_events_are_at_their_published_path(site: Site, evidence: Evidence, refused: Use) -> None:
    """Events of a cluster are given at the published path; paths that one page has instead are recorded (X8)."""
    with refused() as shared:
        shared.cluster.wait_for_error(ErrorCause.LOGIN)
        for path in UNPUBLISHED:
            try:
                site.project.scope.send(Call("GET", at(path, uid=shared.cluster.uid)))
            except NotFoundError:
                evidence.note(f"X8: GET {path} does not exist")
            else:
                evidence.note(f"X8: GET {path} exists")

        assert shared.cluster.events(), "the published path gives no events of a cluster that has some"
