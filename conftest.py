"""Wiring only: options to site, site to fixtures, fixtures to reports. What is wired stands in ``fixtures/``."""

pytest_plugins = [
    "harness.tracebacks",
    "harness.worker",
    "harness.plugin",
    "harness.drawing",
    "harness.long_runs",
    "harness.workers",
    "fixtures.session",
    "fixtures.deck",
    "fixtures.shared_clusters",
]
