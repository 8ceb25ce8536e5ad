"""The walk of docs/real-sites.md, from nothing to the first green case, done as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from doctor.__main__ import main as doctor
from harness.sites.site_init import main as site_init
from reports.verdicts import ExitCode
from tests.third_party.conftest import ThirdPartySite

ROOT = Path(__file__).parents[2]


def command(beginning: str) -> list[str]:
    """Return the words of the walk's command that begins so."""
    text = (ROOT / "docs/real-sites.md").read_text()
    walk = text.partition("## From nothing to the first green case")[2].partition("\n## ")[0]
    found = re.search(rf"{re.escape(beginning)}[^`\n]*", walk)
    assert found is not None, f"the walk has no command {beginning}"
    return found[0].split()


def test_the_walk_of_the_document_leads_to_a_green_case(
    third_party: ThirdPartySite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Project, hosts, profile, network, image, this machine, a look, one case: each command as the document has it."""
    known, palette, file = third_party.document, third_party.document["palette"], third_party.folder / "site.yaml"
    monkeypatch.setenv("PALETTE_API_KEY", Path(palette["api_key"]["file"]).read_text())
    monkeypatch.chdir(third_party.folder)
    words = command("./run site-init site.yaml")[2:]
    words[words.index("--from") + 1], words[words.index("--project") + 1] = palette["url"], palette["project"]
    assert site_init([*words, "--authority", palette["authority"]]) == 0

    text = file.read_text().replace("USER@", "kairos@").replace("THIS-MACHINE", known["registry"]["bind"])
    text = text.replace("oci:images/provider", known["provider_image"]).replace("port: 5443 ", "port: 0 ")
    ssh = f"ssh:\n  key: {known['ssh']['key']}\n  known_hosts: {known['ssh']['known_hosts']}\n"
    network = yaml.safe_dump({"cluster": known["cluster"], "timeouts": known["timeouts"]})
    file.write_text(re.sub(r"(?m)^ssh:.*\n", ssh, text).replace("  # rate_limits", "  rate_limits") + network)

    assert doctor(command("./run doctor")[2:]) == 0
    assert "are as a run needs them" in capsys.readouterr().out
    run = [sys.executable, "-m", "harness", *command("./run conformance -- --site site.yaml -k")[1:], "--no-provision"]
    run[run.index("site.yaml")] = str(file)
    done = subprocess.run(
        [*run, "--runs-in", str(third_party.folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "1 pass ·" in done.stdout
