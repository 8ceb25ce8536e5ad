"""A Palette that only a proxy reaches: every client of it goes through the proxy, whatever the environment says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from doctor.findings import Kind
from doctor.in_palette import refusal
from harness.sites import site_init
from harness.sites.site import connect
from harness.sites.site_file import BadSiteFileError, SiteFile
from palette import RetryPolicy
from tests.forward_proxy import ForwardProxy, forward_proxy
from tests.harness.palette_site import KEY, PaletteSite, palette_site

PASSWORD, QUOTED = "p@ss/w:rd é 1", "p%40ss%2Fw%3Ard%20%C3%A9%201"
NAME = "palette.test"  # has no address but the one that the proxy knows
ONCE = RetryPolicy(attempts=1)


class Behind(NamedTuple):
    """A Palette, the proxy that knows its name, and a site file that says so."""

    site: PaletteSite
    proxy: ForwardProxy
    url: str

    def file(self) -> SiteFile:
        """Read the site file."""
        palette = {
            "url": self.url, "project": "Default", "api_key": {"file": "key"}, "authority": "ca.pem",
            "rate_limits": False, "proxy": {"env": "MY_PROXY"},
        }  # fmt: skip
        return self.site.file(palette=palette)


@pytest.fixture(params=["", "*"])
def behind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    """Run both; the environment names another proxy, and (``NO_PROXY``) none for anything."""
    with palette_site(tmp_path) as site, forward_proxy(f"qa:{PASSWORD}", {NAME: "127.0.0.1"}) as proxy:
        monkeypatch.setenv("MY_PROXY", proxy.url.replace("//", f"//qa:{QUOTED}@"))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", request.param)
        monkeypatch.setenv("PALETTE_API_KEY", KEY)
        yield Behind(site, proxy, site.url.replace("127.0.0.1", NAME))


def test_every_client_of_palette_goes_through_the_proxy(behind: Behind, tmp_path: Path) -> None:
    """A run's client, the doctor's and that of site-init each log in at the proxy; none shows the password."""
    file, written = behind.file(), tmp_path / "written.yaml"
    with connect(file, ONCE) as palette:
        assert palette.in_project("Default").name == "Default"
    first = len(behind.proxy.asked)
    found = refusal(file, ONCE)
    assert found is not None
    assert found.kind is Kind.PROFILE  # Palette was asked: the provider image says nothing of its Kubernetes
    second = len(behind.proxy.asked)
    asked = ["--from", behind.url, "--authority", str(tmp_path / "ca.pem"), "--proxy", "MY_PROXY"]
    assert site_init.main([str(written), *asked]) == 0

    assert 0 < first < second < len(behind.proxy.asked)
    assert set(behind.proxy.asked) == {behind.url.removeprefix("https://")}
    assert yaml.safe_load(written.read_text())["palette"]["proxy"] == {"env": "MY_PROXY"}
    assert [secret.reveal() for name, secret in file.secrets() if "proxy" in name] == [PASSWORD]
    for shown in (repr(file), repr(palette), str(found), written.read_text()):
        assert PASSWORD not in shown
        assert QUOTED not in shown


def test_a_proxy_that_refuses_the_login_is_told_without_it(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor says that the proxy stands in the way."""
    monkeypatch.setenv("MY_PROXY", behind.proxy.url.replace("//", "//qa:another-secret@"))

    found = refusal(behind.file(), ONCE)

    assert found is not None
    assert behind.proxy.refused
    assert "the proxy did not let the connection through" in str(found)
    assert "another-secret" not in str(found)


@pytest.mark.parametrize(
    "kept", ["http://qa:short@proxy:3128", "socks5://qa:password@proxy:1080", "proxy:3128", "http://q:pass中word@p:1"]
)
def test_a_proxy_that_cannot_be_used_is_refused_unseen(
    behind: Behind, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the key, and nothing of what the variable holds."""
    monkeypatch.setenv("MY_PROXY", kept)
    with pytest.raises(BadSiteFileError, match=r"site.yaml:\d+: palette.proxy") as refused:
        behind.file()

    assert kept not in str(refused.value)
