"""The suite on a site far away: RKE2, hosts of two architectures behind NAT and a jump host, Palette behind a proxy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from engine.children import tied
from engine.debian import Recipe, image_from_packages
from lab import control
from lab.settings import LabSettings, labs_folder
from registry.layout import OCI_CONFIG
from registry.manifests import OCI_INDEX, OCI_MANIFEST, digest_of
from reports import journal
from reports.records import CaseFinished
from reports.verdicts import ExitCode, Verdict
from tests.forward_proxy import ForwardProxy, forward_proxy

ROOT = Path(__file__).parents[2]
PORT = 2222
#: What of the suites is run there; with ``FAR_SITE=whole`` in the environment everything, which takes twenty minutes.
CASES = [] if os.environ.get("FAR_SITE") == "whole" else ["-k", "REPAVE-06 or REPAVE-08 or HOST-04"]
ROUTER = Recipe(packages=("iproute2", "iptables"))
#: Makes a router of a host: what it passes on to an address comes from itself, and it tells nobody of a shorter way.
MASQUERADE = (
    "iptables -t nat -A POSTROUTING -d {0} -j MASQUERADE && iptables -A OUTPUT -p icmp --icmp-type redirect -j DROP"
)


@pytest.fixture(scope="module")
def far_site(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a strict lab of which nothing is used but a site file; its third host is the way to the two others."""
    folder = labs_folder() / f"far-{os.getpid()}"
    settings = LabSettings(folder, 3, strict_seed=7, kind="rke2", machines=("x86_64", "aarch64"))
    lab = control.start(settings, lambda _message: None)
    try:
        document = yaml.safe_load(lab.site_file.read_text())
        router = document["edge_hosts"][2]["ssh"].rpartition("@")[2]
        site = _described(document, tmp_path_factory.mktemp("far"))
        _put_behind_nat(engine, lab.name, document["registry"]["bind"], router)  # last: only the jump host answers now
        yield site
    finally:
        lab.stop()


def _put_behind_nat(engine: docker.DockerClient, lab: str, here: str, router: str) -> None:
    """Lead the Edge hosts' way to registry and Palette through the third host, which gives them its own address."""
    image = image_from_packages(engine, "palette-edge-conformance/router", ROUTER, say=lambda _message: None)
    ways = {
        "edge-3": MASQUERADE.format(here),
        **dict.fromkeys(("edge-1", "edge-2"), f"ip route add {here} via {router}"),
    }
    for host, command in ways.items():
        engine.containers.run(
            image, ["sh", "-c", command], network_mode=f"container:{lab}-{host}", remove=True,
            cap_drop=["ALL"], cap_add=["NET_ADMIN", "NET_RAW"],
        )  # fmt: skip


def _described(document: dict[str, Any], folder: Path) -> Path:
    """Move the two Edge hosts' SSH to another port, and write the site file of somebody who never heard of a lab."""
    *edge_hosts, jump = document["edge_hosts"]
    ssh = ["ssh", "-i", document["ssh"]["key"], "-o", f"UserKnownHostsFile={document['ssh']['known_hosts']}"]
    move = f"echo Port {PORT} | sudo tee /etc/ssh/sshd_config.d/port.conf; sudo systemctl restart ssh"
    known = Path(document["ssh"]["known_hosts"]).read_text()
    for host in edge_hosts:
        subprocess.run([*ssh, host["ssh"], move], check=True, capture_output=True)
        address = host["ssh"].rpartition("@")[2]
        known = known.replace(f"{address} ", f"[{address}]:{PORT} ")
        host |= {"ssh": f"{host['ssh']}:{PORT}", "pull_addresses": [jump["ssh"].rpartition("@")[2]]}
    (folder / "known_hosts").write_text(known)
    document |= {"name": "far away", "edge_hosts": edge_hosts}
    document["palette"]["proxy"] = {"env": "FAR_PROXY"}
    document["ssh"] |= {"known_hosts": str(folder / "known_hosts"), "jump": jump["ssh"]}
    image = _for_two_architectures(Path(document["provider_image"].removeprefix("oci:")), folder / "image")
    document["provider_image"] = f"oci:{image}"
    site = folder / "site.yaml"
    site.write_text(yaml.safe_dump(document, sort_keys=False))
    return site


def _for_two_architectures(one: Path, folder: Path) -> Path:
    """Return a layout of an index with an image, and with the same under the name of another architecture."""
    shutil.copytree(one, folder, copy_function=os.symlink)

    def stored(document: dict[str, Any], kind: str) -> dict[str, Any]:
        raw = json.dumps(document).encode()
        (folder / "blobs/sha256" / digest_of(raw).removeprefix("sha256:")).write_bytes(raw)
        return {"mediaType": kind, "digest": digest_of(raw), "size": len(raw)}

    def read(descriptor: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / "blobs/sha256" / descriptor["digest"][7:]).read_text())
        return found

    [amd64] = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = read(amd64)
    other = stored({**read(manifest["config"]), "architecture": "arm64"}, OCI_CONFIG)
    arm64 = stored({**manifest, "config": other}, OCI_MANIFEST) | {"platform": {"architecture": "arm64", "os": "linux"}}
    index = stored({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [amd64, arm64]}, OCI_INDEX)
    (folder / "index.json").unlink()
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    return folder


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    """Run the proxy on the way to Palette, which asks for a login."""
    with forward_proxy("qa:Pa!ss#w0rd*Proxy") as running:
        yield running


def test_the_suite_passes_on_a_site_that_is_far_away(far_site: Path, proxy: ForwardProxy, tmp_path: Path) -> None:
    """A strict Palette, proxy, jump host and NAT change no verdict; what has to tell the hosts apart is not covered."""
    environ = {**os.environ, "FAR_PROXY": proxy.url.replace("//", "//qa:Pa!ss%23w0rd*Proxy@")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "suites", "--site", str(far_site)]
    command += ["--runs-in", str(tmp_path), "--no-provision", "-n", "2", *CASES]
    done = subprocess.run(tied(command), cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)

    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert proxy.asked
    [run] = [path for path in tmp_path.iterdir() if (path / journal.FILE_NAME).exists()]
    cases = [each for each in journal.read(run / journal.FILE_NAME).records if isinstance(each, CaseFinished)]
    reasons = {case.case: case.reason for case in cases if case.verdict is Verdict.NOT_COVERED}
    sys.stdout.writelines(f"{case}: {reason}\n" for case, reason in reasons.items())
    assert reasons
    assert [reason for reason in reasons.values() if "edge-1 or edge-2 share an address" not in reason] == []
