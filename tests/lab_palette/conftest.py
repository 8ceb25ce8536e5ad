"""An endpoint on loopback over HTTPS, a client of it, and hosts that follow its orders."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme

from lab.palette import PaletteEndpoint, Settings, serving
from tests.lab_palette.api import Api
from tests.lab_palette.contract import judge
from tests.lab_palette.scripted_agent import PretendRegistry, ScriptedAgent, following

KEY = "lab-key"
TOKEN = "lab-registration-token"
SETTINGS = Settings(api_keys=(KEY,), projects=("Default", "Other"), registration_tokens=(TOKEN,), long_poll_s=0.25)


@dataclass
class PaletteLab:
    """A running endpoint with everything that talks to it."""

    endpoint: PaletteEndpoint
    url: str
    ca: str
    registry: PretendRegistry = field(default_factory=lambda: PretendRegistry(images={"registry.test/edge:v1"}))

    def client(self, *, key: str = KEY, project: str = "Default") -> Api:
        """Return a client."""
        api = Api(self.url, key, self.ca, self.endpoint.project_uid(project))
        api.judge = judge()
        return api

    def agent(self, uid: str, token: str = TOKEN) -> ScriptedAgent:
        """Return an agent that has not registered yet."""
        return ScriptedAgent(self.url, token, self.ca, uid, self.registry)


@dataclass(frozen=True)
class Tls:
    """A server's certificate for loopback, and the file of its authority."""

    server: ssl.SSLContext
    ca: str


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """One authority for all tests."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return Tls(context, str(path))


@contextmanager
def running(settings: Settings, tls: Tls) -> Iterator[PaletteLab]:
    """Run an endpoint."""
    endpoint = PaletteEndpoint(settings)
    with serving(endpoint, ssl_context=tls.server) as port:
        yield PaletteLab(endpoint, f"https://127.0.0.1:{port}", tls.ca)


@pytest.fixture
def palette_lab(tls: Tls) -> Iterator[PaletteLab]:
    """Run a healthy endpoint without hosts."""
    with running(SETTINGS, tls) as lab:
        yield lab


@pytest.fixture
def make_lab(tls: Tls) -> Iterator[Callable[..., PaletteLab]]:
    """Make endpoints with other settings."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running(replace(SETTINGS, **changes), tls))


@pytest.fixture
def api(palette_lab: PaletteLab) -> Iterator[Api]:
    """Yield a client of the healthy endpoint."""
    client = palette_lab.client()
    with client.session:
        yield client


@pytest.fixture
def hosts(palette_lab: PaletteLab) -> Iterator[Callable[..., list[ScriptedAgent]]]:
    """Register agents by name that follow their orders until the test ends."""
    with ExitStack() as stack:

        def start(*names: str) -> list[ScriptedAgent]:
            agents = [palette_lab.agent(name) for name in names]
            stack.enter_context(following(*agents))
            return agents

        yield start
