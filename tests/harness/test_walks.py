"""A walk on a site that reads macros once: the lab reads them at every try."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from fixtures.walks import Deployments
from palette.waiting import WaitTimeoutError


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
