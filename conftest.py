"""Wiring only: options to site, site to fixtures, fixtures to reports. What is wired stands in ``fixtures/``."""

pytest_plugins = ["fixtures.plugin", "fixtures.long_runs", "fixtures.lanes", "fixtures.session"]
