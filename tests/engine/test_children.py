"""Child processes are given no secret of the user's environment."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from engine.children import environment

ROOT = Path(__file__).parent.parent.parent
PARTS = ("engine", "lab", "harness", "registry", "doctor", "detection", "reports", "edge", "palette", "fixtures")
#: These run inside a lab host, whose environment is its own.
IN_HOST = ("lab/agent/", "lab/faults/", "lab/firmware.py")
#: These are the user's own commands: pip, scripts and own tests need the settings of the user.
COMMANDS = ("harness/__main__.py", "harness/environment.py")
STARTS = {"subprocess.run", "subprocess.Popen", "asyncio.create_subprocess_exec"}


def test_a_secret_stays_and_what_programs_need_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and passwords by any name are left out; paths, locale, proxies and the engine's address are not."""
    for name in ("PALETTE_API_KEY", "MY_KEY", "REGISTRY_AUTH_HTPASSWD_PATH", "PALETTE_SIGNING_PASSPHRASE"):
        monkeypatch.setenv(name, "secret")
    for name in ("PATH", "https_proxy", "LC_ALL", "DOCKER_HOST"):
        monkeypatch.setenv(name, "needed")
    given = environment(LC_ALL="C", EXTRA="1")

    assert "secret" not in given.values()
    assert {name: given[name] for name in ("PATH", "https_proxy", "DOCKER_HOST")} == dict.fromkeys(
        ("PATH", "https_proxy", "DOCKER_HOST"), "needed"
    )
    assert (given["LC_ALL"], given["EXTRA"]) == ("C", "1")


def starts() -> list[tuple[str, ast.Call]]:
    """Return every place of the product that starts a process of this machine."""
    found = []
    for file in sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith((*IN_HOST, *COMMANDS)):
            calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
            found += [(f"{name}:{call.lineno}", call) for call in calls if ast.unparse(call.func) in STARTS]
    return found


def test_every_child_of_the_product_has_an_environment_of_its_own() -> None:
    """Nothing is started with the whole environment of the user."""
    careless = [place for place, call in starts() if "env" not in {keyword.arg for keyword in call.keywords}]

    assert any(place.startswith("edge/") for place, _ in starts())
    assert careless == []
