"""The programs of a Kubernetes are found, built once, or refused in one line; a stub stands in for the Go toolchain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from engine.debian import BuildFailed
from lab.__main__ import main
from lab.kubernetes import programs
from lab.kubernetes.programs import BUILT, KUBERNETES, PACKAGES, VARIABLE, ProgramsMissing
from tests.registry.samples import tar_of

GO_MOD = """\
module k8s.io/kubernetes
require (
	k8s.io/api v0.0.0
	k8s.io/kube-openapi v0.0.0-20250710124328-f3f2b991d03b
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
	k8s.io/kubelet v0.0.0
)
replace k8s.io/api => ./staging/src/k8s.io/api
"""
#: Answers as Go does; a build writes its package into the program, and fails for the package named in FAILS.
STUB = """\
#!/bin/sh
here=${0%/*}
env >"$here/environment"
case "$1" in
version) echo "go version go$(cat "$here/version") linux/amd64" ;;
mod) echo "{\\"GoMod\\": \\"$here/kubernetes.mod\\"}" ;;
build)
    echo "$@" >>"$here/builds"
    while [ "$1" != -o ]; do shift; done
    case "$3" in *"$(cat "$here/fails")") echo compiling >&2; echo "no such module" >&2; exit 1 ;; esac
    printf '#!/bin/sh\\necho %s\\n' "$3" >"$2"; chmod +x "$2" ;;
esac
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stub of a Go on PATH; its directory says which version it is and which package fails. No cache is full."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in {"go": STUB, "version": "1.26.0", "fails": "nothing", "kubernetes.mod": GO_MOD}.items():
        (place / name).write_text(text)
    (place / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(programs, "ROOM", 0)
    return place


def test_programs_are_built_once_and_found_again(go: Path) -> None:
    """Each program is built once, with the pinned versions, and nothing but the programs is kept."""
    said: list[str] = []
    assert programs.find() is None
    folder = programs.provide(said.append)

    assert programs.provide(said.append) == folder == programs.find()
    assert sorted(each.name for each in folder.iterdir()) == sorted(BUILT)
    assert [line.split()[-1] for line in (go / "builds").read_text().splitlines()] == [*BUILT.values()]
    assert f"gitVersion=v{KUBERNETES}" in (go / "builds").read_text()
    assert sorted(each.name for each in folder.parent.iterdir()) == [folder.name, "kubernetes.lock"]
    assert "building kubelet" in said
    assert programs.versions(folder)["kubelet"] == PACKAGES["kubelet"]


def test_a_failed_build_is_told_and_gone_on_with(go: Path) -> None:
    """The last line of a failed build is told; the next call builds what is missing, and no half a program is taken."""
    (go / "fails").write_text("kubelet")
    with pytest.raises(BuildFailed, match="building kubelet: no such module"):
        programs.provide(lambda _said: None)
    assert programs.find() is None
    assert programs.find(("etcd", "kube-apiserver")) is not None
    (go / "fails").write_text("nothing")
    programs.provide(lambda _said: None)

    assert (go / "builds").read_text().count(PACKAGES["etcd"]) == 1


def test_kubernetes_own_parts_have_its_version(go: Path, tmp_path: Path) -> None:
    """Modules that Kubernetes takes from its own tree are replaced by their release; others are left as it wants."""
    programs.Builder(str(go / "go"), tmp_path, lambda _said: None).write_module()
    written = (tmp_path / "go.mod").read_text()

    assert f"require k8s.io/kubernetes v{KUBERNETES}\n" in written
    assert [line.split()[1] for line in written.splitlines() if line.startswith("replace")] == [
        "k8s.io/api", "k8s.io/kubelet",
    ]  # fmt: skip
    assert f"replace k8s.io/api => k8s.io/api v0.{KUBERNETES.partition('.')[2]}\n" in written


def test_secrets_of_the_user_do_not_reach_the_builder(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the user's environment the builder gets what names its module proxy, and no API key."""
    monkeypatch.setenv("PALETTE_API_KEY", "s3cret-key")
    monkeypatch.setenv("GOPROXY", "https://modules.example")
    programs.provide(lambda _said: None)

    assert "s3cret-key" not in (go / "environment").read_text()
    assert "GOPROXY=https://modules.example" in (go / "environment").read_text()


def test_the_users_directory_comes_first(go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that the user names is taken as it is, and one that lacks programs is refused by their names."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv(VARIABLE, str(own))
    for name in PACKAGES:
        with pytest.raises(ProgramsMissing, match=f"LAB_KUBERNETES={own} has no .*{name}.*name a directory"):
            programs.find()
        (own / name).touch(0o755)

    assert programs.provide(lambda _said: None) == own
    assert not (go / "builds").exists()


def test_programs_are_taken_out_of_images_once(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: docker.DockerClient
) -> None:
    """They may be in several images and places; what no image has is named, and nothing is built."""
    halves = {"one": {"usr/local/bin/kubelet": "kubelet"}, "two": {"etcd": "etcd"}}
    with ExitStack() as images:
        names = [images.enter_context(image_of(engine, tmp_path / tag, files)) for tag, files in halves.items()]
        monkeypatch.setenv(VARIABLE, f"image:{','.join(names)}")
        assert programs.find() is None
        with pytest.raises(ProgramsMissing, match="has no kube-apiserver; name a directory"):
            programs.provide(lambda _said: None)

        halves["two"]["bin/kube-apiserver"] = "kube-apiserver"
        images.enter_context(image_of(engine, tmp_path / "two", halves["two"]))
        folder = programs.provide(lambda _said: None)
    assert programs.provide(lambda _said: None) == folder == programs.find()
    assert sorted(each.name for each in folder.iterdir()) == sorted(PACKAGES)
    assert (folder / "kubelet").read_text() == "kubelet"
    assert not (go / "builds").exists()


@contextmanager
def image_of(engine: docker.DockerClient, work: Path, files: dict[str, str]) -> Iterator[str]:
    """Yield the name of an image with these files, on the engine for as long as it is used."""
    name = f"kubernetes-programs-{os.getpid()}:{work.name}"
    archive = tar_of(work.with_suffix(".tar"), files)
    engine.api.import_image_from_file(str(archive), repository=name.partition(":")[0], tag=work.name)
    yield name
    with suppress(ImageNotFound):
        engine.images.remove(name, force=True)


@pytest.mark.parametrize("version", ["1.24.9", "0.9"])
def test_without_a_toolchain_it_ends_with_one_line(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    """Where Go is too old and pip can install none, the command ends with 4 and one line that says what would help."""
    (go / "version").write_text(version)
    (tmp_path / "pip.conf").write_text("[global]\nno-index = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    assert main(["kubernetes"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "lab: Kubernetes cannot be built: there is no Go 1.25 or newer on PATH, and pip installs none"
    )
    assert "install Go, or set LAB_KUBERNETES" in line


def test_a_long_build_says_how_far_it_is(tmp_path: Path) -> None:
    """While a step runs, it says at each look how much was done and what is being done."""
    said: list[str] = []
    script = f"echo one >&2; echo two >&2; until [ -e {tmp_path}/told ]; do :; done"

    def say(text: str) -> None:
        said.append(text)
        if "2 steps" in text:
            (tmp_path / "told").touch()

    programs._watched(["sh", "-c", script], tmp_path, "building it", say, {}, look=0.01)

    assert said[0] == "building it"
    assert said[-1] == "building it: 2 steps, two"
