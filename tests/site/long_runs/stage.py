"""A Palette endpoint of the lab with pretended hosts, described by a site file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.sites.site import connect
from harness.sites.site_file import SiteFile
from lab.palette import PaletteEndpoint
from palette import RetryPolicy
from palette.client import ProjectView
from tests.lab_palette.scripted_agent import ScriptedAgent

KEY, TOKEN = "site-key-of-the-tests", "site-registration-token"
HOSTS = ("edge-1", "edge-2", "edge-3")


@dataclass
class Stage:
    """A Palette with three Edge hosts that follow their orders."""

    endpoint: PaletteEndpoint
    site: SiteFile
    stack: ExitStack
    agents: dict[str, ScriptedAgent]

    def project(self) -> ProjectView:
        """Return the project as one more process sees it."""
        palette = self.stack.enter_context(connect(self.site, RetryPolicy(first_pause=0.02, longest_pause=0.1)))
        return palette.in_project("Default")


def write_site_file(folder: Path, url: str, ca: Path) -> Path:
    """Describe the stage as a user describes a site."""
    (folder / "key").write_text(KEY)
    (folder / "image").mkdir()
    (folder / "image" / "index.json").write_text("{}")
    document = {
        "palette": {
            "url": url,
            "project": "Default",
            "api_key": {"file": "key"},
            "authority": str(ca),
            "rate_limits": False,
        },
        "edge_hosts": [{"uid": uid, "ssh": "kairos@127.0.0.1"} for uid in HOSTS],
        "registry": {"bind": "127.0.0.1"},
        "provider_image": "oci:image",
        "timeouts": {"lease_settle": 0.6, "first_look": 0.02, "slowest_look": 0.05, "cluster_deleted": 5.0},
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
