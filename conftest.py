"""Wiring only: options to site, site to fixtures, fixtures to reports. What is wired stands in ``fixtures/``."""

import gc

gc.disable()  # a tenth of each start went into looking for garbage in modules that are being loaded

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


def pytest_configure() -> None:
    """Look for garbage from here on, and not in what stays for as long as the process."""
    gc.freeze()
    gc.enable()
