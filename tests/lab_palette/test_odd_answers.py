"""The endpoint's answers as a run reads them: healthy ones are not odd, and each seeded change of a field is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.faults import answers, load
from lab.injection import Behaviour, Fault
from palette.published import oddities
from tests.lab_palette.api import Api, eventually
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

FIELDS = [fault for fault in answers.FAULTS if "API-01" in fault.catches]


@pytest.fixture
def odd(api: Api, palette_lab: PaletteLab, hosts: Callable[..., list[ScriptedAgent]]) -> Callable[..., list[str]]:
    """Return what is odd about the answers that a run reads of a running cluster, with faults in force."""
    hosts("a")
    profile = api.make_profile()
    uid = api.deploy(profile, "a")
    eventually(lambda: "ClusterRunning" in api.reasons(uid), "running")
    cluster = f"/v1/spectroclusters/{uid}"
    paths = (
        cluster, f"{cluster}/status", f"{cluster}/profiles", "/v1/edgehosts/a", f"/v1/clusterprofiles/{profile}",
        f"/v1/dashboard/spectroclusters/{uid}/overview", f"/v1/events/components/spectrocluster/{uid}",
    )  # fmt: skip

    def found(*faults: Fault) -> list[str]:
        palette_lab.endpoint.behaviour = Behaviour(faults)
        read: dict[str, Any] = {path: api.get(path) for path in paths}
        return [said for path, answer in read.items() for said in oddities("GET", path, answer)]

    return found


def test_healthy_answers_are_not_odd(odd: Callable[..., list[str]]) -> None:
    """Every field that a run reads is there, each of its type."""
    assert odd() == []


def test_each_seeded_change_of_a_field_is_odd(odd: Callable[..., list[str]], api: Api) -> None:
    """A field that is missing, null or a list is noticed for every field that a fault changes."""
    api.judge = None
    assert len(FIELDS) > len(answers.FIELDS)
    assert [fault.name for fault in FIELDS if not odd(load({"name": fault.name}))] == []
