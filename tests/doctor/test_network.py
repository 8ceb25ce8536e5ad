"""Settings of a host are found however they are written, and no value besides is printed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from doctor.network import INSECURE, TRUE, _found, settings
from harness.sites.base_profile import EXTERNAL


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("stylus:\n  registryCredentials:\n", "registryCredentials"),
        ("- 'registryCredentials' :\n", "registryCredentials"),
        ('x: {password: s3cret, "externalRegistries": []}\n', "externalRegistries"),
        ("# registryCredentials:\n", ""),
        ("noregistryCredentials: 1\n", ""),
        ("allow-insecure-registries: true\n", "allow-insecure-registries: true"),
        ("insecure_skip_verify: 'True'\r\n", "insecure_skip_verify: True"),
        ("c: {p: {password: s3cret, insecure_skip_verify: yes}}\n", "insecure_skip_verify: yes"),
        ("\tskip_verify = true\n", "skip_verify = true"),
        ("insecure: false\n", ""),
        ("insecure: trueish\n", ""),
        ("a: b # insecure: true\n", ""),
    ],
)
def test_a_setting_is_found_however_it_is_written(tmp_path: Path, text: str, key: str) -> None:
    """Quoted, in braces, in either notation; not in a comment, and not what stands beside it."""
    file = tmp_path / "user.yaml"
    file.write_bytes(text.encode())
    commands = settings(EXTERNAL, str(file)), settings(INSECURE, str(file), TRUE)
    said = "".join(
        subprocess.run(["/bin/sh", "-c", each], check=True, capture_output=True, text=True).stdout for each in commands
    )

    assert list(_found(said.splitlines())) == ([(str(file), key)] if key else [])
