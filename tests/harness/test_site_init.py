"""The site file that ``./run site-init`` writes is right once it is filled in, and shows every key there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.sites.site_file import BadSiteFileError, RemoteImage, read_site_file
from harness.sites.site_init import TEMPLATE, main
from harness.sites.site_schema import SCHEMA, TEMPLATE_WORDS
from registry.tls import Authority


def everything() -> str:
    """Return the template with every comment that holds YAML uncommented, and the first provider image left out."""
    text = re.sub(r"^( *)# ?( *(?:- )?[a-z_]+:.*)$", r"\1\2", TEMPLATE, flags=re.MULTILINE)
    text = text.replace("provider_image: oci:images/provider\n", "").replace("profile: edge-base", "profile:")
    return filled(text)


def filled(text: str) -> str:
    """Return the template with its words replaced."""
    for word, right in {"PROJECT": "Default", "EDGE-HOST-UID": "edge-2", "USER@ADDRESS": "qa@10.0.0.1"}.items():
        text = text.replace(f": {word} ", f": {right} ")
    return text.replace("THIS-MACHINE", "10.0.0.9")


def keys(schema: Any, place: str = "") -> set[str]:  # noqa: ANN401 - a part of a JSON schema
    """Return every key that a schema knows, with its place."""
    found = {f"{place}{key}" for key in schema.get("properties", {})}
    for key, part in schema.get("properties", {}).items():
        found |= keys(part, f"{place}{key}.")
    return found | (keys(schema["items"], f"{place}*.") if "items" in schema else set())


def shown(value: object, place: str = "") -> set[str]:
    """Return every key of a document, with its place in the same words."""
    if isinstance(value, list):
        return {key for item in value for key in shown(item, f"{place}*.")}
    if not isinstance(value, dict):
        return set()
    return {f"{place}{key}" for key in value} | {
        k for key, part in value.items() for k in shown(part, f"{place}{key}.")
    }


def test_a_filled_site_file_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key in the environment and an image in its place, the written file is read without complaint."""
    monkeypatch.setenv("PALETTE_API_KEY", "key")
    (tmp_path / "images/provider").mkdir(parents=True)
    (tmp_path / "images/provider/index.json").write_text("{}")

    file = tmp_path / "site.yaml"
    assert main([str(file)]) == 0
    file.write_text(filled(file.read_text()))
    site = read_site_file(file)
    assert (site.name, list(site.edge_hosts), site.registry_port) == ("my-site", ["edge-2"], 5443)


def test_words_of_the_template_that_are_left_are_told_all_at_once(tmp_path: Path) -> None:
    """An unfilled file is refused once, with every word that is left, every secret and every file that is not there."""
    file = tmp_path / "site.yaml"
    assert main([str(file)]) == 0
    lines = file.read_text().splitlines()
    with pytest.raises(BadSiteFileError) as refused:
        read_site_file(file)

    said = [mistake.split(": ", 2) for mistake in refused.value.mistakes]
    assert [key for _, key, _ in said] == [
        "palette.project", "palette.api_key", "edge_hosts[0].uid", "edge_hosts[0].ssh", "registry.bind",
        "provider_image",
    ]  # fmt: skip
    for place, key, what in said:
        name, line = place.split(":")
        assert (name, key.rpartition(".")[2] in lines[int(line) - 1]) == ("site.yaml", True), (place, what)
    assert {word for word in TEMPLATE_WORDS if any(word in what for _, _, what in said)} == set(TEMPLATE_WORDS)


def test_what_is_commented_out_is_right_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every comment made a key the file is read without complaint, and says what the comments say."""
    monkeypatch.setenv("HOME", str(tmp_path))
    accounts = ("PALETTE_PUSH_PASSWORD", "PALETTE_PROBE_1_PASSWORD", "PALETTE_KUBECONFIG")
    for name in ("PALETTE_API_KEY", "PALETTE_IMAGE_PASSWORD", *accounts):
        monkeypatch.setenv(name, "a secret")
    for name in (
        "palette-ca.pem",
        "keys/edge-7",
        ".ssh/edge_ed25519",
        "edge_known_hosts",
        "registry-ca.pem",
        "os-layer.yaml",
        "rke2.yaml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(Authority().pem)
    document = yaml.safe_load(everything())
    packs = document.pop("packs")  # a profile and packs do not go together
    assert document["cluster"].pop("ddns_search_domain")  # nor a virtual IP and a name given by DDNS
    assert document["registry"].pop("ports")  # nor one port and a range
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(document))
    site = read_site_file(tmp_path / "site.yaml")
    del document["profile"]
    (tmp_path / "site.yaml").write_text(yaml.safe_dump({**document, "packs": packs}))
    of_packs = read_site_file(tmp_path / "site.yaml").packs

    assert isinstance(site.provider_image, RemoteImage)
    assert str(site.provider_image) == "registry.example:443/team/edge-provider:v1"
    assert [sought.value for sought in site.sought] == ["edge-7", "rack:qa-2"]
    assert (site.sought[0].target.jump, site.sought[0].target.sudo) == ("qa@bastion-2.example", False)
    assert site.never_touch.clusters == {"production-east"}
    assert (of_packs.kubernetes.tag, of_packs.cni.name) == ("1.33.5", "cni-calico")


def test_every_key_is_shown() -> None:
    """Every key of the schema stands in the template, so that nobody has to read the schema."""
    assert keys(SCHEMA) - shown(yaml.safe_load(everything())) == set()


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An existing file is not overwritten, nor one behind a link; the message names it and the exit code is 4."""
    file, link = tmp_path / "site.yaml", tmp_path / "link.yaml"
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere.yaml")

    assert [main([str(file)]), main([str(link)]), main([str(tmp_path)])] == [4, 4, 4]
    assert (file.read_text(), (tmp_path / "nowhere.yaml").exists()) == ("mine", False)
    assert f"{file} is there already" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that does not exist is named; ``--help`` is no error, an unknown option is."""
    assert main([str(tmp_path / "no/site.yaml")]) == 4
    assert "cannot be written: No such file" in capsys.readouterr().err
    assert (main(["--help"]), main(["--force"])) == (0, 4)
