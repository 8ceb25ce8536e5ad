"""Scenarios: what the lives of clusters cover, and what they cost."""

from __future__ import annotations

import pytest

from fixtures.scenarios import BY_NIGHT, FACTORS, STRENGTHS, covered, lives, wanted


@pytest.mark.parametrize(("depth", "factors", "at_once"), [("default", FACTORS, 2), ("nightly", BY_NIGHT, 3)])
def test_every_combination_of_circumstances_occurs_in_some_life(
    depth: str, factors: dict[str, tuple[object, ...]], at_once: int
) -> None:
    """By default each pair of circumstances occurs in the steps of the lives, by night each triple."""
    steps = [step for life in lives(depth) for step in life.steps]

    assert wanted(factors, at_once) - covered(steps, at_once) == set()


@pytest.mark.parametrize("depth", STRENGTHS)
def test_every_step_can_happen_where_it_stands(depth: str) -> None:
    """A life begins with a deployment, and a roll-back changes back what the first repave changed."""
    for life in lives(depth):
        assert life.steps[0].change == "deployment"
        assert {step.hosts for step in life.steps} == {life.hosts}
        clusters = (
            " / ".join(step.change for step in life.steps).replace("re-deployment", "deployment").split("deployment")
        )
        for cluster in clusters[1:]:
            assert cluster.strip(" /") in {
                "",
                "first repave",
                "first repave / later repave",
                "first repave / roll-back",
                "first repave / roll-back / later repave",
            }
        for first, back in zip(life.steps, life.steps[1:], strict=False):
            assert back.change != "roll-back" or first.user == back.user


def test_a_default_run_has_few_clusters_and_repaves() -> None:
    """All pairs cost at most ten clusters and sixteen repaves: on a real site each is minutes."""
    steps = [step for life in lives("default") for step in life.steps]

    assert sum(step.is_deployment for step in steps) <= 10
    assert sum(not step.is_deployment for step in steps) <= 16
