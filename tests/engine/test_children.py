"""Child processes are given no secret of the user's environment, and end with their parent."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from engine.children import environment, tied
from tests.settling import settled

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


@cache
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


PARENT = """
import subprocess, sys
from engine.children import tied
child = subprocess.Popen(tied([sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]),
                         stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline().decode(), flush=True)
child.wait()
"""


@pytest.mark.parametrize("setpriv", [True, False])
def test_a_tied_child_ends_with_its_parent_however_that_ends(*, setpriv: bool) -> None:
    """After SIGKILL of the parent nothing that it started works on; until then it is a child like any other."""
    if setpriv and not shutil.which("setpriv"):
        pytest.skip("no setpriv here")
    assert_child_ends_with(
        PARENT if setpriv else f"from engine import children\nchildren._has_setpriv = lambda: False\n{PARENT}"
    )
    assert subprocess.run(tied(["sh", "-c", "exit 7"]), check=False).returncode == 7


OF_A_TEST = """
import sys
from pathlib import Path
from tests.lab.projects import Checkout
child = Checkout(Path(), Path("/tmp")).start("-c", "import time; print('here', flush=True); time.sleep(600)")
print(child.pid, child.stdout.readline(), flush=True)
child.wait()
"""


def test_a_run_that_a_test_started_ends_with_the_test() -> None:
    """Own tests that are killed leave no run behind that would work on for a minute."""
    assert_child_ends_with(OF_A_TEST)


def assert_child_ends_with(parent_script: str) -> None:
    """Kill a process that has started a child and written its pid; the child ends as well."""
    environ = environment(PYTHONPATH=str(ROOT))
    with subprocess.Popen(
        [sys.executable, "-c", parent_script], cwd=ROOT, env=environ, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid, said = parent.stdout.readline().split()
        parent.kill()

    assert said == b"here"
    assert settled(lambda: not is_running(int(pid)), within=30)


def is_running(pid: int) -> bool:
    """Return whether a process is there and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_what_may_take_minutes_is_tied() -> None:
    """Commands on a host, programs that build images and pytests of a matrix would otherwise work on for nobody."""
    loose = [
        place
        for place, call in starts()
        if place.startswith(("detection/", "edge/", "engine/debian", "lab/kubernetes/"))
        and ast.unparse(call.func) == "subprocess.Popen"
        and not ast.unparse(call.args[0]).startswith("tied(")
    ]
    assert loose == []
