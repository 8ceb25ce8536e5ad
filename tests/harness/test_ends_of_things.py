"""What is given back or cleared stays so, whatever goes on beside it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.sites.leases import Leases
from harness.sites.site import Site


def test_a_lease_that_is_given_back_is_not_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that was under way when the run ended writes nothing."""
    written: list[str] = []
    monkeypatch.setattr(Leases, "_write", lambda _self, _hosts, uid, *_more: written.append(uid))
    hosts = SimpleNamespace(get=lambda uid: SimpleNamespace(labels={}, name=uid))
    project: Any = SimpleNamespace(edge_hosts=hosts)
    leases = Leases(project, "conf-1", lambda _text: None)
    leases.held = ["edge-1"]
    leases.renew()
    leases.end()
    leases.renew()

    assert written == ["edge-1"]


def test_a_cluster_goes_even_if_nothing_can_be_known_of_it() -> None:
    """An error while evidence is taken is raised, and the next case finds the hosts free."""

    def keep(_cluster: object, *, failed: bool) -> None:
        raise ConnectionError(f"no events, failed {failed}")

    gone: list[object] = []
    site: Any = SimpleNamespace(evidence=SimpleNamespace(keep=keep), _delete=gone.append)
    site.look_back = lambda *given, **named: Site.look_back(site, *given, **named)
    cluster: Any = SimpleNamespace(name="conf-1", refused=False)
    with pytest.raises(ConnectionError, match="no events"):
        Site.remove_cluster(site, cluster)

    assert gone == [cluster]
