"""Credentials held by macros."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fixtures.layers import Layers
from fixtures.private_registry import SiteRegistry
from fixtures.requirements import requirement
from fixtures.site import Site
from palette.os_layer import inside_double_quotes, macro


@contextmanager
def project_macro(site: Site, name: str, value: str) -> Iterator[str]:
    """Let a macro of the project exist; gives the reference to it."""
    site.project.macros.create({name: value})
    site.ledger.add("macro", name)
    try:
        yield macro(name)
    finally:
        site.project.macros.delete([name])
        site.ledger.remove("macro", name)


@requirement("MACRO-01", phase="repave")
@pytest.mark.parametrize("password", ["Passw0rd!", 'a"b\\c:#*', "Passw0rdPassw0rd"])
def test_a_macro_holds_the_password(
    site: Site, layers: Layers, private_registry: SiteRegistry, password: str
) -> None:
    """A password that stands in a project macro is presented unchanged by deployment and repave."""
    name = f"{site.run}-registry-password".replace("-", "_")
    with (
        private_registry.account(password=password) as account,
        project_macro(site, name, inside_double_quotes(password)) as reference,
    ):
        layer = layers.fresh(None, credentials=layers.credentials(account, password=reference))
        with site.deploy(layer) as cluster:
            cluster.try_repave(layers.with_image(layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()
