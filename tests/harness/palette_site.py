"""A Palette endpoint on loopback, and site files that describe it: a site without hosts to log in to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import trustme
import yaml

from harness.sites.site import connect
from harness.sites.site_file import SiteFile, read_site_file
from lab import base_profile
from lab.palette import PaletteEndpoint, Settings, Strictness, serving
from lab.palette.settings import Masks
from palette import RetryPolicy
from palette.client import ProjectView
from registry.layout import ImageLayout, write_layout
from tests.registry.samples import tar_of

KEY, TOKEN = "key-of-the-site", "token-of-the-site"


@dataclass(frozen=True)
class PaletteSite:
    """The endpoint, and a folder with what its site files refer to."""

    url: str
    folder: Path
    endpoint: PaletteEndpoint

    def file(self, **changes: object) -> SiteFile:
        """Write and read a site file with other values of some keys; None leaves a key out."""
        document: dict[str, Any] = {
            "palette": {
                "url": self.url, "project": "Default", "api_key": {"file": "key"}, "authority": "ca.pem",
                "rate_limits": False,
            },
            "edge_hosts": [{"uid": "edge-1", "ssh": "kairos@10.0.0.11"}, {"uid": "edge-2", "ssh": "kairos@10.0.0.12"}],
            "cluster": {"vip": "10.0.0.50-10.0.0.51"},
            "registry": {"bind": "10.0.0.9"},
            "provider_image": f"oci:{image(self.folder / 'image', {})}",
            **changes,
        }  # fmt: skip
        path = self.folder / "site.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
        return read_site_file(path)

    def register(self, uid: str, address: str) -> None:
        """Register an Edge host, as its agent does."""
        device = {
            "metadata": {"name": uid, "uid": uid, "labels": {}},
            "spec": {"device": {"archType": "amd64"}, "host": {"hostUid": uid, "hostAddress": address}},
            "status": {"health": {"state": "healthy"}},
        }
        answer = requests.post(
            f"{self.url}/v1/edgehosts/register", json=device, headers={"RegistrationToken": TOKEN},
            verify=str(self.folder / "ca.pem"), timeout=10,
        )  # fmt: skip
        answer.raise_for_status()

    @contextmanager
    def project(self) -> Iterator[ProjectView]:
        """Yield the project as a client sees it."""
        with connect(self.file(), RetryPolicy()) as palette:
            yield palette.in_project("Default")


@contextmanager
def palette_site(folder: Path, masks: Masks = "refuse") -> Iterator[PaletteSite]:
    """Run an endpoint whose project has the lab's profile."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "palette.test").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "key").write_text(KEY)
    strictness = Strictness(masks=masks)
    keys, tokens, day = (KEY,), (TOKEN,), 86400.0  # no agent reports that a host is well: it stays so on a busy machine
    endpoint = PaletteEndpoint(
        Settings(api_keys=keys, registration_tokens=tokens, strictness=strictness, heartbeat_s=day)
    )
    with serving(endpoint, ssl_context=context) as port:
        url, uid = f"https://127.0.0.1:{port}", endpoint.project_uid("Default")
        base_profile.create(url, uid, KEY, folder / "ca.pem")
        yield PaletteSite(url, folder, endpoint)


def image(
    folder: Path, release: Mapping[str, str], *, labels: Mapping[str, str] | None = None, tag: str = "v1"
) -> Path:
    """Write a provider image that says of itself what ``release`` and ``labels`` say."""
    text = "".join(f'{name}="{value}"\n' for name, value in release.items())
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("index.json"):
        old.unlink()
    layer = tar_of(folder / "layer.tar", {"etc/kairos-release": text, "etc/os-release": "ID=debian\n"})
    layout: ImageLayout = write_layout(folder, [layer], tag=tag, labels=labels)
    return layout.directory
