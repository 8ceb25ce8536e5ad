"""A Palette endpoint of the lab with pretended hosts, and clients of it as runs have them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml

from fixtures.site import connect
from fixtures.site_file import SiteFile, read_site_file
from lab.palette import PaletteEndpoint, Settings, serving
from palette import RetryPolicy
from palette.client import ProjectView
from tests.lab_palette.scripted_agent import PretendRegistry, ScriptedAgent, following

KEY, TOKEN = "site-key-of-the-tests", "site-registration-token"
HOSTS = ("edge-1", "edge-2", "edge-3")


@dataclass
class Stage:
    """A Palette with three Edge hosts that follow their orders, described by a site file."""

    endpoint: PaletteEndpoint
    site: SiteFile
    stack: ExitStack

    def project(self) -> ProjectView:
        """Give the project as one more process sees it."""
        palette = self.stack.enter_context(connect(self.site, RetryPolicy(first_pause=0.02, longest_pause=0.1)))
        return palette.in_project("Default")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Give a certificate for loopback and the file of its authority."""
    made, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return context, path


@pytest.fixture
def make_stage(authority: tuple[ssl.SSLContext, Path], tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Make stages whose Palette has other settings."""
    context, ca = authority
    with ExitStack() as stack:

        def make(**settings: object) -> Stage:
            chosen = {"api_keys": (KEY,), "registration_tokens": (TOKEN,), "long_poll_s": 0.25, **settings}
            endpoint = PaletteEndpoint(Settings(**chosen))  # type: ignore[arg-type] # a test names settings freely
            url = f"https://127.0.0.1:{stack.enter_context(serving(endpoint, ssl_context=context))}"
            agents = [ScriptedAgent(url, TOKEN, str(ca), uid, PretendRegistry()) for uid in HOSTS]
            stack.enter_context(following(*agents))
            return Stage(endpoint, read_site_file(write_site_file(tmp_path, url, ca)), stack)

        yield make


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """Give a healthy stage."""
    return make_stage()


def write_site_file(folder: Path, url: str, ca: Path) -> Path:
    """Describe the stage as a user describes a site."""
    (folder / "key").write_text(KEY)
    (folder / "image").mkdir()
    (folder / "image" / "index.json").write_text("{}")
    document = {
        "palette": {"url": url, "project": "Default", "api_key": {"file": "key"}, "authority": str(ca)},
        "edge_hosts": [{"uid": uid, "ssh": "kairos@127.0.0.1"} for uid in HOSTS],
        "registry": {"bind": "127.0.0.1"},
        "provider_image": "oci:image",
        "timeouts": {"lease_settle": 0.2, "first_look": 0.02, "slowest_look": 0.05, "cluster_deleted": 5.0},
    }
    document["palette"]["rate_limits"] = False  # type: ignore[index] # the mapping just above
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
