"""Registries that redirect: a login is for the registry itself, wherever it sends its clients."""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.traces import traces
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.os_layer import OsLayer
from registry.redirecting import RedirectingRegistry, RedirectTo
from registry.server import Account


def layer_at(hostile: RedirectingRegistry, layers: Layers, account: Account) -> OsLayer:
    """Return a layer with a fresh image, to be pulled through the registry that redirects."""
    image = layers.images.fresh().at(hostile.address).reference
    return layers.fresh(
        None, image=image, credentials=layers.registry.credentials(account, registry=str(hostile.address))
    )


@requirement("SAFE-01", "SAFE-02", phase="repave")
@pytest.mark.parametrize("place", ["another host", "another port", "plain HTTP"])
def test_no_redirect_takes_the_login_along(
    site: Site, layers: Layers, private_registry: SiteRegistry, redirecting_to: RedirectTo, place: str
) -> None:
    """Redirected at the ping, a manifest, a blob or a layer's URLs, neither pull sends its login there in any form."""
    with private_registry.account() as account, redirecting_to(place) as hostile:
        hostile.forms = tuple(traces(account.password))
        with site.begin_deploy(layer_at(hostile, layers, account)) as cluster:
            runs = cluster.runs_or_fails()
            judge(hostile, "deployment")
            if runs:
                hostile.forget()
                cluster.try_repave(layer_at(hostile, layers, account))
                judge(hostile, "repave")


def judge(hostile: RedirectingRegistry, phase: str) -> None:
    """Fail when the other place was sent a login, or when nothing was redirected at all."""
    assert hostile.leaked == set(), f"the {phase} sent its login to {hostile.there} with a {', '.join(hostile.leaked)}"
    assert "manifest" in hostile.logins, f"the {phase} did not log in at {hostile.address}"
    assert "manifest" in hostile.visited, f"the {phase} did not follow a redirect to {hostile.there}"
