"""Pictures of a report page for README and docs.

``python tests/page/screenshots.py reports/latest/report.html docs/images``
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(page: Path, folder: Path) -> None:
    """Take a picture of the page's beginning and one of its first red case."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_page(viewport={"width": 1200, "height": 1150}, color_scheme="light")
        opened.goto(page.resolve().as_uri())
        opened.screenshot(path=folder / "report.png")
        opened.locator("article").first.screenshot(path=folder / "case.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
