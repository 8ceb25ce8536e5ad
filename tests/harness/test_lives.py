"""A life of rotations and edits, told apart from what a healthy cluster does in between."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from unittest.mock import MagicMock

import pytest

from registry.witness import AccountsInForce, basic
from suites.lifecycle.test_state_machine import Life


@pytest.mark.parametrize("stuck", [True, False])
def test_only_a_stuck_cluster_may_try_its_old_login_while_an_edit_is_under_way(*, stuck: bool) -> None:
    """It repeats its pull until the edit reaches it; any other one has no reason to ask."""
    accounts, registry = AccountsInForce(), MagicMock()
    registry.refusing = accounts.wrong_on_purpose
    registry.seen.expecting = lambda account: accounts.expecting(account.username, account.password)
    registry.private.account = lambda *_: nullcontext()
    life: Any = Life(MagicMock(), MagicMock(), registry, MagicMock())
    life._rotate("old")
    life._write()
    old, life.stuck = basic(life.username, life.written), stuck
    life._rotate("new")
    judged = []
    life._repave = lambda _: judged.append(accounts.judge([old])[1].intact)
    life.edit()

    assert judged == [stuck]
    assert not accounts.judge([old])[1].intact, "it may not once the edit has been done"
