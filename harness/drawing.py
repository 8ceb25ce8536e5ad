"""How deep properties go: the seed, and Hypothesis' settings by level, while cases are collected and while they run.

Hypothesis takes the settings that are in force where ``@given`` stands, so they must be the level's before a case's
module is imported. Modules that are no cases keep what they are used to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, core, settings

from harness.levels import depth_of
from harness.plugin import OPTIONS
from harness.run import SUITES, cases_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from harness.sites.site_file import SiteFile

#: Examples by depth. Twenty stand for a password of every class (fixtures/deck.py).
EXAMPLES = {"default": 20, "nightly": 150}


def examples_of(site: SiteFile | None, depth: str) -> int:
    """Return how many examples a property draws: as many as the site file says, by night more in proportion."""
    examples = site.examples if site else EXAMPLES["default"]
    return examples * EXAMPLES[depth] // EXAMPLES["default"]


def profile_of(depth: str) -> str:
    """Return the name of Hypothesis' settings for a depth."""
    return f"conformance-{depth}"


def settings_for_hosts(max_examples: int) -> settings:
    """Return the settings for examples that each cost deployments and repaves.

    The first example that fails is reported as it is: shrinking, Hypothesis' explain phase and looking for a second
    bug would each take many more. Slow examples are expected, so there is no deadline per example. The seed of the run
    is what is drawn with, on a build server too, where Hypothesis by itself would take one of its own.
    """
    return settings(
        max_examples=max_examples,
        derandomize=False,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Fix the seed, and say what Hypothesis' settings are at each depth; the options are checked by then."""
    options = config.stash[OPTIONS]
    core.global_force_seed = options.seed  # type: ignore[assignment] # what its own option does
    for depth in EXAMPLES:
        drawn = settings_for_hosts(examples_of(options.site, depth))
        settings.register_profile(profile_of(depth), drawn, database=None, print_blob=False)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Import a module of cases under the settings of the run's level."""
    if not isinstance(collector, pytest.Module) or SUITES not in collector.path.parents:
        return (yield)
    before = settings.get_current_profile_name()
    settings.load_profile(_profile(collector.config))
    try:
        return (yield)
    finally:
        settings.load_profile(before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Run cases under the same settings: what they make themselves takes after those."""
    if any(cases_of(session.items)):
        settings.load_profile(_profile(session.config))


def _profile(config: pytest.Config) -> str:
    return profile_of(depth_of(config.stash[OPTIONS].level))
