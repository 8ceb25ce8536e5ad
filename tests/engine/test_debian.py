from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from engine import debian
from engine.debian import BuildFailed, ProgramMissing, Recipe, RootFile
from engine.pieces import Pieces

NAME = "palette-edge-conformance/test-debian"
NOTHING = Recipe(packages=("no-such-package-anywhere",), variant="extract")


@pytest.fixture
def small_tar(tmp_path: Path) -> Path:
    """Write a root file system with one file."""
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("etc/hello")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"hi"))
    return path


def images(engine: docker.DockerClient) -> set[str | None]:
    """Return the ids of all images, those without a name, too."""
    return {image.id for image in engine.images.list(all=True)}


def test_everything_that_changes_the_result_changes_the_fingerprint() -> None:
    """Packages, variant, files, modes, hooks, exclusions and backports each count; the order of packages does not."""
    base = Recipe(packages=("a", "b"), files={"/x": RootFile(b"1")})
    others = [
        Recipe(packages=("a",), files={"/x": RootFile(b"1")}),
        Recipe(packages=("a", "b"), files={"/x": RootFile(b"2")}),
        Recipe(packages=("a", "b"), files={"/x": RootFile(b"1", 0o755)}),
        Recipe(packages=("a", "b"), files={"/x": RootFile(b"1")}, variant="extract"),
        Recipe(packages=("a", "b"), files={"/x": RootFile(b"1")}, hooks=("true",)),
        Recipe(packages=("a", "b"), files={"/x": RootFile(b"1")}, exclude=("/y",)),
        Recipe(packages=("a", "b"), files={"/x": RootFile(b"1")}, backports=("a",)),
    ]

    assert len({recipe.fingerprint for recipe in (base, *others)}) == len(others) + 1
    assert Recipe(packages=("b", "a"), files={"/x": RootFile(b"1")}).fingerprint == base.fingerprint


@pytest.mark.parametrize("path", ["relative", "/up/../out"])
def test_a_file_outside_of_the_root_is_refused(path: str) -> None:
    """A recipe's file must be named by an absolute path without a way up."""
    with pytest.raises(ValueError, match="absolute path"):
        Recipe(packages=(), files={path: RootFile(b"")})


def test_an_imported_root_comes_back_byte_for_byte(
    engine: docker.DockerClient, small_tar: Path, tmp_path: Path
) -> None:
    """An image made of a tar has its configuration, and its layer is that tar."""
    tag = f"{NAME}:roundtrip"
    debian.import_rootfs(engine, small_tar, tag, ['CMD ["/bin/true"]', "LABEL a=b"])
    try:
        config = engine.images.get(tag).attrs["Config"]

        assert (config["Cmd"], config["Labels"]) == (["/bin/true"], {"a": "b"})
        assert debian.layer_tar(engine, tag, tmp_path / "copy.tar").read_bytes() == small_tar.read_bytes()
    finally:
        engine.images.remove(tag)


def saved_image(root: bytes, *, name: str, packed: bool) -> tuple[tarfile.TarFile, str]:
    """Make what an engine saves: a configuration, a layer, a manifest; with the digest of the plain layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in (
            ("blobs/sha256/0", b"{}"),
            (name, gzip.compress(root) if packed else root),
            ("manifest.json", b"[]"),
        ):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return tarfile.open(fileobj=buffer, mode="r|"), f"sha256:{hashlib.sha256(root).hexdigest()}"


@pytest.mark.parametrize(
    ("name", "packed"),
    [("0123/layer.tar", False), ("blobs/sha256/plain", False), ("blobs/sha256/of-the-compressed-bytes", True)],
    ids=["old engines", "newer engines", "containerd image store"],
)
def test_a_layer_is_found_however_an_engine_saves_it(name: str, small_tar: Path, *, packed: bool) -> None:
    """Docker 29 saves compressed layers under names of their own; what comes out is the root all the same."""
    saved, digest = saved_image(small_tar.read_bytes(), name=name, packed=packed)
    found = io.BytesIO()

    assert debian.copy_layer(saved, digest, found)
    assert found.getvalue() == small_tar.read_bytes()


def test_a_layer_is_found_in_what_a_containerd_image_store_saved() -> None:
    """Recorded of Docker 26.1.5 with the store that is the default from 29 on: a root with one file."""
    layer, found = "sha256:bd3c1b6d7746619f92f26c6b24b3060f53f3c80f730d3cc07190fa6326d98824", io.BytesIO()
    with tarfile.open(Path(__file__).with_name("containerd-store.tar.gz"), "r|gz") as saved:
        assert debian.copy_layer(saved, layer, found)
    found.seek(0)
    with tarfile.open(fileobj=found) as root:
        assert root.getnames() == ["etc/hello"]


def test_a_layer_that_is_not_there_is_not_made_up(small_tar: Path) -> None:
    """An image without that layer is told apart from one with it."""
    saved, _ = saved_image(small_tar.read_bytes(), name="layer", packed=True)

    assert not debian.copy_layer(saved, "sha256:0", io.BytesIO())


def test_a_stream_that_breaks_off_makes_no_image(engine: docker.DockerClient, small_tar: Path) -> None:
    """When the builder fails in the middle, the engine keeps neither an image nor a nameless remainder."""

    def breaking() -> Iterator[bytes]:
        yield small_tar.read_bytes()[:700]
        raise BuildFailed("in the middle")

    before = images(engine)
    with pytest.raises(BuildFailed, match="in the middle"):
        debian.import_rootfs(engine, breaking(), f"{NAME}:broken")

    assert images(engine) == before
    with pytest.raises(ImageNotFound):
        engine.images.get(f"{NAME}:broken")


def test_a_package_that_does_not_exist_is_named(engine: docker.DockerClient, tmp_path: Path) -> None:
    """A failed build raises with the builder's own words and leaves no image and no file."""
    before, said = images(engine), list[str]()
    with pytest.raises(BuildFailed, match="no-such-package-anywhere"):
        debian.image_from_packages(engine, NAME, NOTHING, say=said.append, rootfs=tmp_path / "root.tar")

    assert images(engine) == before
    assert list(tmp_path.iterdir()) == []
    assert any("downloading" in line or "apt-get update" in line for line in said)


def test_an_image_that_is_there_is_not_built_again(
    engine: docker.DockerClient, small_tar: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tag says what went in: a second run needs no builder, and gets the root file system out of the image."""
    tag = debian.image_tag(NAME, NOTHING, ())
    debian.import_rootfs(engine, small_tar, tag)
    monkeypatch.setenv("PATH", "/nonexistent")
    try:
        found = debian.image_from_packages(engine, NAME, NOTHING, say=lambda _: None, rootfs=tmp_path / "again.tar")

        assert found == tag
        assert (tmp_path / "again.tar").read_bytes() == small_tar.read_bytes()
    finally:
        engine.images.remove(tag)


def test_a_missing_builder_is_named_with_the_command(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mmdebstrap the message has the command that installs it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ProgramMissing, match="apt-get install mmdebstrap"):
        debian.image_from_packages(engine, NAME, NOTHING)


def test_an_interrupted_build_leaves_no_process_and_no_directory() -> None:
    """Whatever ends the caller's work ends the builder and clears its directory."""
    recipe = Recipe(packages=("docker-registry",), variant="extract")
    with (
        pytest.raises(KeyboardInterrupt),
        debian._alone("interrupted") as room,
        debian._built(recipe, room, lambda _: None, what="test"),
    ):
        raise KeyboardInterrupt

    assert not room.exists()
    assert str(room) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_two_builds_of_one_recipe_wait_for_each_other() -> None:
    """A second builder of the same recipe comes in when the first one has finished."""
    order: list[str] = []

    def second() -> None:
        with debian._alone("shared"):
            order.append("second")

    with debian._alone("shared"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.05)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_a_long_step_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a builder is silent, the narrator keeps saying what it does and for how long."""
    monkeypatch.setattr(debian, "HEARTBEAT_SECONDS", 0.02)
    said: list[str] = []
    script = "echo 'I: downloading packages...' >&2; head -c1 >/dev/null"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        heard = threading.Event()

        def say(line: str) -> None:
            said.append(line)
            if "still downloading packages" in line:
                heard.set()

        narrator = debian._Narrator(process, say, "lab host")
        assert heard.wait(timeout=10)
        process.communicate(b"x")
        narrator.join()

    assert any(line.startswith("lab host: downloading packages (") for line in said)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [2, 2], [10], [0]])
def test_pieces_read_as_one_stream(sizes: list[int]) -> None:
    """Whatever the pieces, reads give the bytes in order, and as many as asked for until the end."""
    pieces = [b"ab", b"c", b"defg"]
    stream = Pieces(pieces)
    found = [stream.read(size) for size in sizes]

    assert b"".join(found) == b"abcdefg"[: sum(sizes)]
    assert b"".join(found) + stream.read() == b"abcdefg"
