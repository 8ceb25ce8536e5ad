"""Stages: a Palette without Docker, for everything about runs that no Edge host needs to be real for."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from harness.sites.site_file import read_site_file
from lab.palette import PaletteEndpoint, Settings, serving
from tests.lab_palette.scripted_agent import PretendRegistry, ScriptedAgent, following
from tests.site.long_runs.stage import HOSTS, KEY, TOKEN, Stage, write_site_file


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Return a certificate for loopback and the file of its authority."""
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
            site = read_site_file(write_site_file(tmp_path, url, ca))
            return Stage(endpoint, site, stack, {agent.uid: agent for agent in agents})

        yield make


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """Return a healthy stage."""
    return make_stage()
