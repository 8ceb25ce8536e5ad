"""Walks where a site does as the lab does not: it reads macros once, or kubelet pulls before it can read a Secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from fixtures.walks import Deployments, Repaves
from palette.waiting import WaitTimeoutError
from registry.server import Account


class OnceRead(Deployments):
    """Presents what a deployment was begun for, and nothing else."""

    deployments = in_vain = 0
    _fresh = False

    def _set(self, *_: object) -> None:
        """Change nothing."""

    def _credentials(self, *_: object) -> Any:  # noqa: ANN401 - a stub
        self.deployments += 1
        self._fresh = True

    def _wait(self, *_: object) -> None:
        fresh, self._fresh = self._fresh, False
        if not fresh:
            self.in_vain += 1
            raise WaitTimeoutError("a try", "not so within 3600 s", [], "")


def test_it_is_waited_for_in_vain_once_only() -> None:
    """Each login after the first of such waits has a deployment at once, and so has the end of the walk."""
    walk = OnceRead(MagicMock(), MagicMock())
    walk._macros = MagicMock()
    for number in range(5):
        walk.try_pull(MagicMock(), f"registry.test/edge:{number}")
    walk.run()

    assert (walk.in_vain, walk.deployments) == (1, 6)


@pytest.mark.parametrize(
    ("reasons", "over"), [(["Failed"], [True]), (["FailedToRetrieveImagePullSecret", "Failed"], [False])]
)
def test_a_pull_for_which_kubelet_had_no_secret_yet_is_no_try(reasons: list[str], over: list[bool]) -> None:
    """Kubernetes tries again with the Secret: what it pulled without is not what the product presents."""
    walk: Any = Repaves(MagicMock(), MagicMock(), MagicMock())
    seen = [SimpleNamespace(reason=reason, message="registry.test/edge:1: 401") for reason in reasons]
    walk.now.errors.return_value = seen
    looks: list[bool] = []
    wait = walk.site.project.clusters.wait
    wait.clock.now.side_effect = range(0, 100, 10)
    wait.until.side_effect = lambda _, look, *_1, **_2: looks.append(look())
    walk.layers.registry.seen.pulls.return_value = []
    walk.try_pull(MagicMock(), "registry.test/edge:1")

    assert looks == over


def pull(tag: str, name: str) -> SimpleNamespace:
    """Return what a witness tells of a pull that presented something."""
    presented = SimpleNamespace(name=name, intact=name == "intact")
    return SimpleNamespace(
        reference=tag, presented=presented, account="user", place="edge-1", has_credential=True, status=404
    )


class Retries(Repaves):
    """A repave of which each login is tried as it is, and the first again, changed, while the second is awaited."""

    seen: list[SimpleNamespace]

    def login(self, password: str | None = None, username: str | None = None) -> Account:
        """Return always the same account."""
        return Account(username or "user", password or "")

    def try_pull(self, _: object, image: str) -> None:
        """Pull, and pull the one before again."""
        tag = image.rpartition(":")[2]
        before = [known.reference for known in self.seen[:1]]
        self.seen += [*(pull(known, "upper-case") for known in before), pull(tag, "intact")]


def test_a_login_that_changes_when_it_is_tried_again_is_told_by_the_next() -> None:
    """The first login had arrived by then, and only the walk still knows of it."""
    walk: Any = Retries(MagicMock(), MagicMock(), MagicMock())
    walk.now.phases[-1].name = "repave"
    walk.layers.images.repository, walk.seen = "edge", []
    walk.layers.registry.address.reference.side_effect = lambda name, tag: f"{name}:{tag}"
    walk.layers.registry.seen.pulls.side_effect = lambda _: walk.seen

    assert walk.present() == []
    assert walk.present() == ["host edge-1 presented a value equal to the password upper-case at repave"]


@pytest.mark.parametrize(
    ("tries", "told"),
    [
        ([(0.0, "anonymous")], []),
        ([(0.0, "intact"), (1.0, "anonymous"), (1.01, "intact")], []),
        ([(0.0, "intact"), (0.1, "upper-case"), (1.0, "anonymous"), (1.01, "intact")], []),
        (
            [(0.0, "intact"), (1.0, "anonymous"), (1.01, "anonymous"), (2.0, "anonymous")],
            ["host edge-1 presented no credential at repave"],
        ),
    ],
)
def test_what_a_second_try_presents_is_told_once_it_is_known(tries: list[tuple[float, str]], told: list[str]) -> None:
    """A first request without a login is a habit; a try that ends without one presents nothing."""
    walk: Any = Retries(MagicMock(), MagicMock(), MagicMock())
    walk.now.phases[-1].name = "repave"
    walk._last, began = ("1", walk.login()), datetime(2026, 1, 1, tzinfo=UTC)
    walk.seen = [pull("1", name) for _, name in tries]
    for known, (seconds, _) in zip(walk.seen, tries, strict=True):
        known.at, known.has_credential = began + timedelta(seconds=seconds), known.presented.name != "anonymous"
    walk.layers.registry.seen.pulls.side_effect = lambda _: walk.seen
    walk.site.project.clusters.wait.until.side_effect = lambda _, look, is_over, **_2: (
        found if is_over(found := look()) else pytest.fail("waited for in vain")
    )

    assert walk.present_again() == told
