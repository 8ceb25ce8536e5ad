"""Options are checked before anything is started; a message names the option, what was found, what would be right."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
import yaml
from docker.errors import APIError
from requests import ReadTimeout

import lab.site
from harness.drawing import examples_of
from harness.options import Options, add_options, checked
from harness.sites import lab_site
from harness.sites.lab_site import BadSetupError
from harness.sites.site import connect
from harness.sites.site_file import read_site_file
from palette import RetryPolicy
from reports import keys
from reports.verdicts import ExitCode
from tests.lab.projects import Checkout, copy_project


class CommandLine:
    """A pytest configuration as far as options go."""

    def __init__(self, *arguments: str) -> None:
        parser = pytest.Parser(_ispytest=True)
        add_options(parser)
        parser.getgroup("hypothesis").addoption("--hypothesis-seed")
        self.option: Namespace = parser.parse(arguments)

    def getoption(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - pytest's own signature
        """Return an option's value."""
        return getattr(self.option, name.lstrip("-").replace("-", "_"), default)


def check(*arguments: str) -> Options:
    """Check a command line."""
    return checked(cast("pytest.Config", CommandLine(*arguments)))


def refusal(*arguments: str) -> str:
    """Return the message with which a command line is refused."""
    with pytest.raises(pytest.UsageError) as refused:
        check(*arguments)
    return str(refused.value)


@contextmanager
def listener(address: str) -> Iterator[int]:
    """Take a port of an address; return the port."""
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def site_yaml(tmp_path: Path) -> Path:
    """Write a right site file."""
    (tmp_path / "index.json").touch()
    (tmp_path / "key").write_text("key")
    document = {
        "palette": {"url": "https://palette.example", "project": "Default", "api_key": {"file": "key"}},
        "edge_hosts": [{"uid": "edge-1", "ssh": "kairos@10.0.0.1"}],
        "registry": {"bind": "127.0.0.1"},
        "provider_image": "oci:.",
    }
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def with_registry(site_yaml: Path, **registry: object) -> Path:
    """Change what a site file says of its registry."""
    document = yaml.safe_load(site_yaml.read_text())
    document["registry"] |= registry
    site_yaml.write_text(yaml.safe_dump(document))
    return site_yaml


def test_without_options_it_is_a_healthy_lab_of_two_hosts() -> None:
    """Nothing given means: the lab, two hosts, no fault, provisioning, registry:2 at a free port, a new seed."""
    options, other = check(), check()

    assert (options.site, options.lab_hosts, options.lab_faults) == (None, 2, ())
    assert (options.provision, options.keep_lab, options.registry_port) == (True, False, None)
    assert options.registry_image == "registry:2"
    assert options.seed != other.seed


@pytest.mark.parametrize(
    ("option", "right", "wrong"),
    [
        ("--lab-hosts", " from 1 to 16", ["-1", "0", "17", "x", "1.5", "", "²", "--5", "1e1"]),
        ("--registry-port", " from 1 to 65535", ["0", "65536", "http", "-1"]),
        ("--hypothesis-seed", "", ["x", "-1", "1.0", "²", "9" * 5000]),
    ],
)
def test_a_number_that_is_none_is_refused(option: str, right: str, wrong: list[str]) -> None:
    """A number is whole and within its range; everything else is quoted, with the range."""
    for number in wrong:
        assert refusal(f"{option}={number}") == f"{option} {number}: found {number!r}; give a whole number{right}"
    assert check("--hypothesis-seed=7").seed == 7


def test_an_unknown_fault_is_refused() -> None:
    """What is wrong with a fault is said of the option."""
    begin = "--lab-fault alphanumeric-bas64: there is no such fault; did you mean alphanumeric-base64"
    assert refusal("--lab-fault", "alphanumeric-bas64").startswith(begin)
    assert "name one, as in fault.py:NAME" in refusal("--lab-fault", "fault.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("palette: [", "this is no YAML"),
        ("pallete: {}", "pallete: unknown key; did you mean 'palette'?"),
        ("[]", "the file is no mapping of keys"),
        ("{palette: 5, edge_hosts: [], registry: {}, provider_image: x}", "edge_hosts: found []"),
    ],
)
def test_a_wrong_site_file_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    """A site file that is missing, no YAML, or has a wrong key or type, is refused while options are checked."""
    file = tmp_path / "site.yaml"
    if text is not None:
        file.write_text(text)

    assert said in refusal("--site", str(file))


@pytest.mark.parametrize(
    "option", ["--lab-fault=strict-base64", "--keep-lab", "--lab-kubernetes", "--lab-current-openssh"]
)
def test_what_is_for_the_lab_is_refused_for_a_site(site_yaml: Path, option: str) -> None:
    """Faults, and a lab that is kept, are nothing for a real site."""
    assert "are for the lab" in refusal("--site", str(site_yaml), option)


def test_a_real_kubernetes_is_refused_on_hosts_in_agent_mode() -> None:
    """The lab has it in appliance mode only; the refusal says what to leave out."""
    assert refusal("--lab-kubernetes", "--lab-mode", "agent-mode").endswith(
        "in appliance mode only; leave out --lab-mode"
    )
    assert check("--lab-mode", "agent-mode").lab_mode == "agent-mode"


def test_a_port_that_is_taken_everywhere_is_refused_for_the_lab() -> None:
    """A port on which another program listens for everybody is refused by its number, before a lab is started."""
    with listener("0.0.0.0") as port:  # noqa: S104 - that is the case
        message = refusal(f"--registry-port={port}")

    assert message.startswith(f"--registry-port {port}: port {port} is taken by another program; give a free port")
    assert check(f"--registry-port={port}").registry_port == port


def test_a_port_that_is_taken_elsewhere_does_not_matter() -> None:
    """A program that listens on loopback only is not in the way of the lab's own network."""
    with listener("127.0.0.1") as port:
        assert check(f"--registry-port={port}").registry_port == port


def test_a_port_that_is_taken_at_the_site_is_refused(site_yaml: Path) -> None:
    """At a site the port is looked at on the address that the file names, whoever gave it: option or file."""
    with listener("127.0.0.1") as port:
        by_option = refusal("--site", str(site_yaml), f"--registry-port={port}")
        by_file = refusal("--site", str(with_registry(site_yaml, port=port)))

    assert by_option.startswith(f"--registry-port {port}: port {port} is taken")
    assert by_file.startswith(f"site.yaml: registry: port {port} is taken")


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-name.invalid"])
def test_an_address_of_somebody_else_is_refused(site_yaml: Path, address: str) -> None:
    """An address for the registry that this machine does not have is refused while options are checked."""
    message = refusal("--site", str(with_registry(site_yaml, bind=address)))

    assert message.startswith(f"site.yaml: registry: the registry cannot listen on {address}")
    assert "give an address of this machine" in message


def test_examples_cost_a_repave_each_so_a_site_says_how_many(site_yaml: Path) -> None:
    """A site draws one password for a property unless it says more; the lab says as many as faults need."""
    document = yaml.safe_load(site_yaml.read_text())
    quiet = read_site_file(site_yaml)
    site_yaml.write_text(yaml.safe_dump({**document, "examples": lab.site.EXAMPLES}))
    busy = read_site_file(site_yaml)
    drawn = [[examples_of(site, depth) for depth in ("default", "nightly")] for site in (quiet, busy, None)]

    assert drawn == [[1, 7], [20, 150], [20, 150]]


def test_processes_that_use_one_palette_share_its_rates(site_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count into one folder that nobody else can read, and for another Palette into another."""
    monkeypatch.setattr(tempfile, "tempdir", str(site_yaml.parent))
    site = read_site_file(site_yaml)
    folders = [connect(each, RetryPolicy()).scope.transport.limits.directory for each in (site, site)]

    assert folders[0] is not None
    assert folders[0] == folders[1]
    assert folders[0].name == "palette.example"
    assert folders[0].parent.stat().st_mode & 0o777 == 0o700


def test_a_certificate_is_signed_with_a_key_that_is_read_first(tmp_path: Path) -> None:
    """A key that cannot be used, or a run that is no certification, is refused before anything is started."""
    keys.generate(tmp_path / "key")
    (tmp_path / "rubbish").write_text("no key")
    certification = ("--level", "certification", "--key")

    assert check(*certification, str(tmp_path / "key")).signer is not None
    assert check("--level", "certification").signer is None
    assert "not a private key in PEM form" in refusal(*certification, str(tmp_path / "rubbish"))
    assert "'./run keygen FILE' makes one" in refusal(*certification, str(tmp_path / "missing"))
    assert refusal("--key", "key").startswith("--key key: only --level certification is signed")


# --- the machine ----------------------------------------------------------------------------------------------------


def said_by_engine(options: Options) -> str:
    """Return the message with which the machine is refused."""
    with pytest.raises(BadSetupError) as refused:
        lab_site.engine(options, print)
    return str(refused.value)


def test_no_engine_where_one_was_chosen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that DOCKER_HOST names and that does not answer is never replaced by another one."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    assert said_by_engine(check()).startswith("no Docker engine answers at DOCKER_HOST=tcp://127.0.0.1:1")


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be installed, a missing program is named with the command that installs it."""
    monkeypatch.setattr(lab_site, "connect", lambda _say, **_options: None)
    monkeypatch.setattr(lab_site, "PROGRAMS", {"no-such-program": "its-package"})

    message = said_by_engine(replace(check(), provision=False))
    assert message == "programs of its-package are missing; run: apt-get install its-package"


def test_a_user_that_ssh_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's arbitrary user id has no line in /etc/passwd: ssh and ssh-keygen would only exit with 255."""
    monkeypatch.setattr(lab_site, "connect", lambda _say, **_options: None)
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000)

    assert said_by_engine(check()).startswith("user id 4000000 has no line in /etc/passwd")


class FullEngine:
    """An engine whose data is kept on this machine's own file system."""

    def info(self) -> dict[str, str]:
        """Return where images are kept."""
        return {"DockerRootDir": "/no/such/folder"}


def test_a_disk_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where images have no room, the place, what it has, what is needed and the remedy are named."""
    monkeypatch.setattr(lab_site, "connect", lambda _say, **_options: FullEngine())
    monkeypatch.setattr(lab_site, "has_image", lambda _client, _tag: False)
    monkeypatch.setattr(lab_site, "ROOM", 1 << 60)

    message = said_by_engine(check())
    assert message.startswith("/ has ")
    assert f"MiB free and {1 << 40} are needed for images; make room, or move the engine's data" in message


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"CgroupVersion": "1"}, ""),
        ({}, ""),
        ({"CgroupVersion": "2"}, "the engine uses cgroup v2: the lab is written for it and has been tested on v1 only"),
    ],
)
def test_an_engine_that_nobody_tried_is_said(facts: dict[str, str], said: str) -> None:
    """An engine with a version of control groups on which the lab never ran is used, and that is said."""
    assert lab_site.untested_engine(facts) == said


@pytest.mark.parametrize("error", [APIError("500 Server Error: no space left"), ReadTimeout("Read timed out.")])
def test_an_engine_that_does_not_do_what_it_is_asked_is_refused(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """An engine that answers, and then fails or hangs, ends the command before anything is begun, in its own words."""
    broken = SimpleNamespace(info=lambda: {"DockerRootDir": "/"}, containers=Mock(**{"list.side_effect": error}))
    monkeypatch.setattr(lab_site, "connect", lambda _say, **_options: broken)
    monkeypatch.setattr(lab_site, "has_image", lambda _client, _tag: True)

    assert said_by_engine(check()) == f"the Docker engine does not do what it is asked: {error}"


@pytest.mark.parametrize("where", ["lab", "site"])
def test_it_is_said_before_a_lab_is_started(where: str, site_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run on a lab says it; a run on a site has no hosts on this engine, and says nothing."""
    facts = {"CgroupVersion": "2", "DockerRootDir": "/"}
    monkeypatch.setattr(lab_site, "connect", lambda _say, **_options: SimpleNamespace(info=lambda: facts))
    monkeypatch.setattr(lab_site, "has_image", lambda _client, _tag: True)
    monkeypatch.setattr(lab_site, "ROOM_LATER", 0)
    monkeypatch.setattr("engine.ownership.sweep", lambda _client, _say: [])
    said: list[str] = []
    lab_site.engine(check(*(["--site", str(site_yaml)] if where == "site" else [])), said.append)

    assert said == ([lab_site.untested_engine(facts)] if where == "lab" else [])


# --- the whole command ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Copy the project, so that nothing of its reports is touched."""
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield copy_project(tmp_path_factory.mktemp("copy") / "project", temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a command and give what it wrote; its exit code must be that of a bad set-up."""
    with process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.USAGE_ERROR, output
    return output


def test_bad_input_ends_the_command_with_nothing_begun(project: Checkout) -> None:
    """Wrong options and a machine without engine end with code 4, one clear message, no run, and no temporary file."""
    with listener("0.0.0.0") as port:  # noqa: S104 - that is the case
        commands = {
            "--lab-fault nonsense: there is no such fault": project.start(
                "-m", "pytest", "suites", "--lab-fault=nonsense"
            ),
            f"port {port} is taken": project.start("-m", "pytest", "suites", f"--registry-port={port}"),
            "DOCKER_HOST=tcp://127.0.0.1:1": project.start(
                "-m", "pytest", "suites", "-q", DOCKER_HOST="tcp://127.0.0.1:1"
            ),
        }
        outputs = {said: finish(process) for said, process in commands.items()}

    for said, output in outputs.items():
        assert said in output
        assert "Traceback" not in output
    assert (project.runs, project.leftovers) == ([], [])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_case_file_that_cannot_be_read_ends_the_command_with_nothing_begun(project: Checkout, workers: str) -> None:
    """A mistake in a file of cases is the harness' error, told with its place; no engine is asked for, no run begun."""
    broken = project.folder / "suites" / "limits" / "test_broken.py"
    broken.write_text("import no_such_module\n")
    with project.start("-m", "pytest", "suites", "-n", workers, DOCKER_HOST="tcp://127.0.0.1:1") as process:
        output, _ = process.communicate(timeout=60)
    broken.unlink()

    assert "test_broken.py" in output
    assert "no_such_module" in output
    assert "DOCKER_HOST" not in output
    assert (process.returncode, project.runs, project.leftovers) == (ExitCode.ERROR, [], []), output


def test_a_mistake_in_the_known_issues_is_refused(tmp_path: Path) -> None:
    """A file of waivers with a mistake in it is refused before anything is started, with file and record."""
    file = tmp_path / "known_issues.yaml"
    file.write_text("known_issues: [{id: X}]")

    assert refusal("--known-issues", str(file)).startswith(f"--known-issues {file}: known_issues[0]: ")


def test_the_shipped_known_issues_never_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long after every waiver has expired, an ordinary command line is still accepted."""
    later = datetime.now(UTC) + timedelta(days=4000)
    monkeypatch.setattr("harness.options.datetime", SimpleNamespace(now=lambda _zone: later))

    assert all(waiver.is_expired(later.date()) for waiver in check().known_issues)


@pytest.mark.parametrize("kind", ["a file", "below a file", "of nobody"])
def test_a_place_where_no_run_can_be_kept_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """A read-only or impossible directory of runs ends before anything starts, with what would be right."""
    (tmp_path / "file").write_text("")
    place = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "runs", "of nobody": Path("/proc/x")}[
        kind
    ]

    told = refusal("--runs-in", str(place))
    assert told.startswith(f"--runs-in {place}: no run can be kept there (")
    assert told.count("\n") == 0
    assert check("--runs-in", str(place), "--plan").home == place
