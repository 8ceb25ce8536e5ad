"""Wiring only: options to site, site to fixtures, fixtures to reports. What is wired stands in ``fixtures/``."""

pytest_plugins = [
    "fixtures.plugin",
    "fixtures.running.drawing",
    "fixtures.running.long_runs",
    "fixtures.running.lanes",
    "fixtures.session",
]
