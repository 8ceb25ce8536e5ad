"""The suite on a site that is far away: a Palette on a bad day behind a proxy, and hosts behind a jump host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from lab import control
from lab.site import LabSettings, labs_folder
from reports.verdicts import ExitCode
from tests.forward_proxy import ForwardProxy, forward_proxy

ROOT = Path(__file__).parents[2]
PORT = 2222
#: What of the suites is run there; with ``FAR_SITE=whole`` in the environment everything, which takes twenty minutes.
CASES = [] if os.environ.get("FAR_SITE") == "whole" else ["-k", "DEPLOY-01 or REPAVE-08 or HOST-04"]


@pytest.fixture(scope="module")
def far_site(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a strict lab of which nothing is used but a site file; its third host is the way to the two others."""
    _ = engine
    lab = control.start(
        LabSettings(labs_folder() / f"far-{os.getpid()}", 3, strict_seed=7, kind="rke2"), lambda _message: None
    )
    try:
        yield _described(yaml.safe_load(lab.site_file.read_text()), tmp_path_factory.mktemp("far"))
    finally:
        lab.stop()


def _described(document: dict[str, Any], folder: Path) -> Path:
    """Move the two Edge hosts' SSH to another port, and write the site file of somebody who never heard of a lab."""
    *edge_hosts, jump = document["edge_hosts"]
    ssh = ["ssh", "-i", document["ssh"]["key"], "-o", f"UserKnownHostsFile={document['ssh']['known_hosts']}"]
    move = f"echo Port {PORT} | sudo tee /etc/ssh/sshd_config.d/port.conf; sudo systemctl restart ssh"
    for host in edge_hosts:
        subprocess.run([*ssh, host["ssh"], move], check=True, capture_output=True)
        host["ssh"] += f":{PORT}"
    known = Path(document["ssh"]["known_hosts"]).read_text()
    for host in edge_hosts:
        address = host["ssh"].rpartition("@")[2].partition(":")[0]
        known = known.replace(f"{address} ", f"[{address}]:{PORT} ")
    (folder / "known_hosts").write_text(known)
    vips = document["cluster"]["vip"]
    document |= {"name": "far away", "edge_hosts": edge_hosts, "cluster": {"vip": f"{vips[0]}-{vips[-1]}"}}
    document["palette"]["proxy"] = {"env": "FAR_PROXY"}
    document["ssh"] |= {"known_hosts": str(folder / "known_hosts"), "jump": jump["ssh"]}
    site = folder / "site.yaml"
    site.write_text(yaml.safe_dump(document, sort_keys=False))
    return site


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    """Run the proxy on the way to Palette, which asks for a login."""
    with forward_proxy("qa:Pa!ss#w0rd*Proxy") as running:
        yield running


def test_the_suite_passes_on_a_site_that_is_far_away(far_site: Path, proxy: ForwardProxy, tmp_path: Path) -> None:
    """Rate limits, refusals, late states, a proxy, a jump host and another port change no verdict."""
    environ = {**os.environ, "FAR_PROXY": proxy.url.replace("//", "//qa:Pa!ss%23w0rd*Proxy@")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "suites", "--site", str(far_site)]
    command += ["--runs-in", str(tmp_path), "--no-provision", *CASES]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert " pass ·" in done.stdout
    assert proxy.asked
