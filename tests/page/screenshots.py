"""Pictures of a report page for the README.

``python tests/page/screenshots.py reports/latest/report.html docs/images``
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SHOTS = {
    "report-light": {"viewport": {"width": 1200, "height": 1150}, "color_scheme": "light"},
    "report-dark": {"viewport": {"width": 1200, "height": 1150}, "color_scheme": "dark"},
    "report-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
}


def main(page: Path, folder: Path) -> None:
    """Take every picture of the page's beginning."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, options in SHOTS.items():
            opened = browser.new_page(**options)  # type: ignore[arg-type]  # data
            opened.goto(page.resolve().as_uri())
            opened.screenshot(path=folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
