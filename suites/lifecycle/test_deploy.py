"""Deployment: a new cluster from the private registry."""

from __future__ import annotations

from contextlib import suppress

from fixtures.layers import Layers
from fixtures.shared_clusters import PASSWORD, Use
from fixtures.undocumented import require_documented_units
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.run import NotCovered
from harness.sites.site import Site
from palette.errors import BadRequestError, ConflictError, InvalidError

NOBODY = "nobody-of-that-name"


@requirement("DEPLOY-01", "DEPLOY-02", "PROFILE-01", "LIMIT-02", "LIMIT-04", phase="deploy", witness=True)
def test_a_new_cluster_pulls_from_the_private_registry(private_registry: SiteRegistry, deployed: Use) -> None:
    """With address, user, password and authority in its profile, a new cluster becomes Running."""
    with deployed() as shared:
        pulls = private_registry.witness.pulls(shared.cluster, phase="deploy")

        assert shared.cluster.state() == "Running"
        assert any(pull.presented == "intact" for pull in pulls), "no pull presented the profile's credentials"


@requirement("HOST-01", phase="deploy")
def test_the_host_of_a_cluster_is_registered_and_in_use(site: Site, deployed: Use) -> None:
    """A host is ready and healthy before it is taken, and in use while it belongs to a cluster."""
    with deployed() as shared:
        used = site.project.edge_hosts.get(shared.cluster.host.uid)

        assert all(host.is_free for host in shared.known["hosts"].values())
        assert not used.is_free, f"Edge host {used.uid} belongs to a cluster and says it is free"


@requirement("DEPLOY-05", phase="deploy", hosts=2, clusters=0)
def test_an_endpoint_belongs_to_one_cluster(site: Site, layers: Layers, deployed: Use) -> None:
    """A cluster that names the endpoint of one that runs is refused, or at least does not run."""
    if site.file.cluster.overlay:
        raise NotCovered("the site's clusters have overlay networks, each with endpoints of its own")
    with deployed() as shared:
        endpoint = site.project.clusters.endpoint(shared.cluster.uid)
        with (
            suppress(BadRequestError, ConflictError, InvalidError),
            site.begin_deploy(layers.fresh(shared.account), vip=endpoint) as second,
        ):
            assert not second.runs_or_fails(), f"{endpoint} is the endpoint of two clusters that run"


@requirement("PROFILE-05", "HOST-02", "VALID-01", phase="deploy")
def test_a_deployed_host_runs_the_image_of_the_profile(deployed: Use) -> None:
    """After a deployment the host has booted the image that system.uri names, from its active slot."""
    with deployed() as shared:
        cluster = shared.cluster

        assert not (wrong := cluster.wrong_boot()), wrong
        layout = cluster.host.layout()
        for unit in layout.cluster_units:
            assert cluster.host.unit(unit).is_running, f"{unit} is not running"
    require_documented_units(layout)


@requirement("EVENT-01", phase="validation")
def test_events_name_the_private_registry(private_registry: SiteRegistry, deployed: Use) -> None:
    """The cluster's events tell that it pulls, and from which registry."""
    with deployed() as shared:
        events = shared.cluster.events()
        named = [event for event in events if str(private_registry.address) in event.message]

        assert named, f"none of {len(events)} events names the private registry {private_registry.address}"


@requirement("EVENT-02", phase="deploy")
def test_a_wrong_password_is_reported(refused: Use) -> None:
    """With a wrong password the cluster does not run, and events say why."""
    with refused() as shared:
        assert_refusal_is_reported(shared.cluster)


@requirement("HOST-05", phase="deploy")
def test_a_refused_pull_changes_nothing_on_the_host(refused: Use) -> None:
    """While its pulls are refused, and after the cluster has failed, a host runs what it ran before."""
    with refused() as shared:
        shared.cluster.fails(ErrorCause.LOGIN)

        assert shared.cluster.host.boot() == shared.cluster.boots[shared.cluster.host.uid], "the host has changed"


@requirement("EVENT-02", phase="deploy")
def test_an_unknown_user_is_reported(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """With an unknown user the cluster does not run, and events say why."""
    with private_registry.account() as account, private_registry.refusing(NOBODY, account.password):
        unknown = layers.registry.credentials(account, username=NOBODY)
        with site.begin_deploy(layers.fresh(None, credentials=unknown)) as cluster:
            assert_refusal_is_reported(cluster)


def assert_refusal_is_reported(cluster: Cluster) -> None:
    """Wait until a cluster has failed for its login, and see that the event says so."""
    event = cluster.fails(ErrorCause.LOGIN)

    assert cluster.layer.image in event.message, f"the event names no image: {event.message}"
    assert ErrorCause.LOGIN.is_named_in(event.message), f"no reason is given: {event.message}"


@requirement("EVENT-02", "REG-02", phase="deploy")
def test_a_missing_image_is_reported(pending: Use) -> None:
    """An image that is not in the registry keeps the cluster out of Running, and the reason is not the login."""
    with pending() as shared:
        event = shared.cluster.fails(ErrorCause.MISSING)

        assert not ErrorCause.LOGIN.is_named_in(event.message), f"a missing image is reported as: {event.message}"
        assert ErrorCause.MISSING.is_named_in(event.message), f"no reason is given: {event.message}"


@requirement("REG-01", phase="deploy")
def test_nobody_pulls_anonymously(site: Site, layers: Layers) -> None:
    """Without credentials in the profile nothing is pulled, and the cluster stays out of Running."""
    with site.begin_deploy(layers.fresh(None)) as cluster:
        cluster.fails(ErrorCause.LOGIN, ErrorCause.TLS)  # the registry's authority stands among the credentials


@requirement("EVENT-02", phase="deploy")
def test_a_registry_that_does_not_answer_is_reported(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """An address at which no registry listens keeps the cluster out of Running, and an event says so."""
    with private_registry.account() as account:
        nowhere = f"{private_registry.address.host}:9"
        layer = layers.fresh(account, image=f"{nowhere}/conformance/provider:v1")
        with site.begin_deploy(layer) as cluster:
            event = cluster.fails(ErrorCause.UNREACHABLE)

            assert nowhere in event.message, f"the event does not name {nowhere}: {event.message}"


@requirement("EVENT-02", "VALID-01", phase="deploy", ends=1)
def test_a_corrected_profile_recovers_without_registering_again(private_registry: SiteRegistry, refused: Use) -> None:
    """A cluster whose pull failed becomes Running once the registry accepts its login; the host stays registered."""
    with refused() as shared:
        shared.spent, cluster = True, shared.cluster
        cluster.wait_for_error(ErrorCause.LOGIN)
        with private_registry.account(shared.account.username, PASSWORD):
            cluster.wait_until_running()

            assert not (wrong := cluster.wrong_boot()), wrong


@requirement("EVENT-02", phase="deploy")
def test_an_image_for_another_machine_is_refused(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """An image of another architecture keeps the cluster out of Running, and the event names the architecture."""
    with private_registry.account() as account:
        host = site.free_hosts(1)[0]
        other = "amd64" if site.architectures.get(host.uid) == "arm64" else "arm64"
        foreign = layers.images.for_architecture(other)
        with site.begin_deploy(layers.fresh(account, image=foreign.reference), on=(host,)) as cluster:
            assert not cluster.runs_or_fails(), f"the cluster runs an image for {other}: {foreign.reference}"
            event = cluster.errors()[0]
            assert "arch" in event.message.lower() or other in event.message, event.message
