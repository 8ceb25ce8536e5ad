"""Engine images and root file systems built from Debian packages, for machines that reach no image hub.

``mmdebstrap`` does the work; what it writes goes straight into the engine's import API, so no copy of the root
file system is kept unless somebody asks for it. A tag is a hash over everything that went in: later runs find the
image by it and build nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from engine.children import environment, tied
from engine.pieces import Pieces
from engine.tempdirs import of_user

if TYPE_CHECKING:
    from docker import DockerClient

Say = Callable[[str], object]

HEARTBEAT_SECONDS = 4.0
"""Longest silence of a build: whatever takes longer than five seconds says what it is doing."""

_RECIPE_VERSION = 1  # raise it when the same recipe gives another root file system
_EPOCH = "1767225600"  # 2026-01-01: no file is newer, so the same packages give the same bytes
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_NO_READERS = (
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
)
_LICENCES = "/usr/share/doc/*/copyright"


class ProgramMissing(RuntimeError):  # noqa: N818 - it names a state of the machine
    """A program of the machine is not installed; the message has the command that installs it."""


class BuildFailed(RuntimeError):  # noqa: N818 - it says what happened
    """Building or importing a root file system failed; the message has the last lines of the builder's own words."""


@dataclass(frozen=True)
class RootFile:
    """A file to put into a root file system: its bytes and its permissions."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a root file system contains.

    ``variant`` is mmdebstrap's: ``minbase`` is a working Debian, ``extract`` only unpacks the packages (no
    maintainer script runs, enough for one static service). ``files`` maps absolute paths to contents. ``hooks``
    are shell lines run at the end with the root directory as ``$1``. ``exclude`` holds path patterns that dpkg
    leaves out, beside manuals, documents and translations, which never come in. ``backports`` names source packages
    that come from the suite's backports.
    """

    packages: tuple[str, ...]
    variant: str = "minbase"
    suite: str = "bookworm"
    files: Mapping[str, RootFile] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    backports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in self.files:
            if not path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"recipe: file {path!r} is no absolute path inside the root; write it as '/etc/name'")

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over all inputs; package versions are the archive's and not part of it."""
        files = {path: [hashlib.sha256(file.content).hexdigest(), file.mode] for path, file in self.files.items()}
        inputs = [_RECIPE_VERSION, sorted(self.packages), self.variant, self.suite, files, self.hooks, self.exclude]
        inputs += [self.backports] if self.backports else []
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


def image_from_packages(
    client: DockerClient,
    name: str,
    recipe: Recipe,
    *,
    config: Sequence[str] = (),
    say: Say = print,
    rootfs: Path | None = None,
) -> str:
    """Return the tag ``name:hash`` of an engine image made by ``recipe``, building it if the engine has none yet.

    ``config`` holds Dockerfile instructions for the image's configuration (``'ENTRYPOINT ["/sbin/init"]'``). With
    ``rootfs`` the image's only layer is also written there as a plain tar. Raises :exc:`ProgramMissing`,
    :exc:`BuildFailed`, or what docker-py raises; nothing half-built stays behind.
    """
    tag = image_tag(name, recipe, config)
    with _alone(recipe.fingerprint) as room:
        if not has_image(client, tag):
            with _built(recipe, room, say, what=name) as pieces:
                import_rootfs(client, _copied(pieces, rootfs), tag, config)
            say(f"{name}: ready as {tag}")
        elif rootfs is not None and not rootfs.exists():
            say(f"{name}: copying the root file system out of {tag}")
            layer_tar(client, tag, rootfs)
    return tag


def image_tag(name: str, recipe: Recipe, config: Sequence[str] = ()) -> str:
    """Return the tag that :func:`image_from_packages` finds or makes, without asking the engine."""
    return f"{name}:{hashlib.sha256(json.dumps([recipe.fingerprint, list(config)]).encode()).hexdigest()[:12]}"


def import_rootfs(
    client: DockerClient, tar: Path | IO[bytes] | Iterable[bytes], tag: str, changes: Sequence[str] = ()
) -> None:
    """Make an engine image ``tag`` (``name:version``) of a root file system's tar: a path, a stream or its pieces."""
    if isinstance(tar, Path):
        with tar.open("rb") as stream:
            return import_rootfs(client, stream, tag, changes)
    pieces = iter(lambda: tar.read(_CHUNK), b"") if hasattr(tar, "read") else tar
    name, _, version = tag.rpartition(":")
    # docker-py turns `changes` into one query parameter per line when it is a list
    answer = client.api.import_image(
        src=iter(pieces), repository=name, tag=version, changes=list(changes), stream_src=True
    )
    _check_import(tag, str(answer))
    return None


def layer_tar(client: DockerClient, tag: str, path: Path) -> Path:
    """Write the only layer of image ``tag`` to ``path``, byte for byte as it was imported.

    Raises :exc:`BuildFailed` when the image has not exactly one layer.
    """
    layers = client.images.get(tag).attrs["RootFS"]["Layers"]
    if len(layers) != 1:
        raise BuildFailed(f"image {tag} has {len(layers)} layers; a root file system is taken from an image with one")
    with _replacing(path) as target, tarfile.open(fileobj=Pieces(client.images.get(tag).save()), mode="r|") as saved:
        if not copy_layer(saved, layers[0], target):
            raise BuildFailed(f"image {tag}: no layer of the saved image is {layers[0]}, as the engine says it has")
    return path


def copy_layer(saved: tarfile.TarFile, diff_id: str, target: IO[bytes]) -> bool:
    """Copy the layer with this digest, uncompressed, out of a saved image; return whether it is there.

    Engines name and compress what they save differently: with the containerd image store (the default from Docker 29
    on) a layer is a gzip blob under its own digest. So the content decides.
    """
    for member in saved:
        if (blob := saved.extractfile(member)) is None:
            continue
        target.seek(0)
        target.truncate()
        digest = hashlib.sha256()
        for piece in _uncompressed(blob):
            digest.update(piece)
            target.write(piece)
        if f"sha256:{digest.hexdigest()}" == diff_id:
            return True
    return False


def _uncompressed(blob: IO[bytes]) -> Iterator[bytes]:
    first = blob.read(_CHUNK)
    pieces = itertools.chain([first], iter(lambda: blob.read(_CHUNK), b""))
    if not first.startswith(_GZIP):
        yield from pieces
        return
    unpacker = zlib.decompressobj(wbits=31)
    yield from map(unpacker.decompress, pieces)
    yield unpacker.flush()


def has_image(client: DockerClient, tag: str) -> bool:
    """Return whether the engine has an image of this name."""
    return bool(client.images.list(name=tag))


def _check_import(tag: str, answer: str) -> None:
    # the engine answers 200 first and reports what went wrong in the stream that follows
    for line in answer.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            message = json.loads(line)
            if isinstance(message, dict) and "error" in message:
                raise BuildFailed(f"the engine could not import {tag}: {message['error']}")


@contextlib.contextmanager
def _alone(fingerprint: str) -> Iterator[Path]:
    """Hold a directory that only this build uses; what a killed build of the same recipe left in it is cleared."""
    house = of_user("builds", mode=0o755)  # mmdebstrap of an ordinary user enters it under other user ids
    with (house / f"{fingerprint}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        room = house / fingerprint
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir(mode=0o755)
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


@contextlib.contextmanager
def _built(recipe: Recipe, room: Path, say: Say, *, what: str) -> Iterator[Iterator[bytes]]:
    """Run mmdebstrap; give the tar's pieces, which end in :exc:`BuildFailed` unless the build succeeded."""
    process = subprocess.Popen(
        tied(_command(recipe, room)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(SOURCE_DATE_EPOCH=_EPOCH, TMPDIR=str(room), LC_ALL="C.UTF-8"),
        start_new_session=True,  # so that it can be ended whole, apt and dpkg with it
    )
    narrator = _Narrator(process, say, what)
    try:
        yield _pieces_of(process, narrator)
    finally:
        _end(process)
        narrator.join()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _command(recipe: Recipe, room: Path) -> list[str]:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise ProgramMissing(
            "mmdebstrap is not installed; it builds images from Debian packages: apt-get install mmdebstrap"
        )
    command = [program, "--format=tar", f"--variant={recipe.variant}", f"--include={','.join(recipe.packages)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in (*_NO_READERS, *recipe.exclude)]
    command += [f"--dpkgopt=path-include={_LICENCES}", '--aptopt=Acquire::Languages "none"']
    command += [f"--setup-hook={hook}" for hook in _backports(recipe)]
    last = "extract" if recipe.variant == "extract" else "customize"  # the last step that the variant has
    if recipe.files:
        command.append(f"--{last}-hook=tar-in {_files_tar(recipe.files, room)} /")
    command += [f"--{last}-hook={hook}" for hook in recipe.hooks]
    return [*command, recipe.suite, "-"]


def _backports(recipe: Recipe) -> list[str]:
    """Return what makes apt take these packages from the suite's backports, at the same mirror."""
    suite = f"{recipe.suite}-backports"
    pin = "".join(
        f"Package: src:{name}\\nPin: release n={suite}\\nPin-Priority: 900\\n\\n" for name in recipe.backports
    )
    hooks = [
        f'cd "$1/etc/apt" && sed -n "s/ {recipe.suite} / {suite} /p" sources.list > sources.list.d/backports.list',
        f"printf '{pin}' > \"$1/etc/apt/preferences.d/backports\"",
    ]
    return hooks if recipe.backports else []


def _files_tar(files: Mapping[str, RootFile], room: Path) -> Path:
    target = room / "files.tar"
    with tarfile.open(target, "w") as archive:
        for path, file in sorted(files.items()):
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.mtime = len(file.content), file.mode, int(_EPOCH)
            archive.addfile(member, io.BytesIO(file.content))
    return target


def _pieces_of(process: subprocess.Popen[bytes], narrator: _Narrator) -> Iterator[bytes]:
    assert process.stdout is not None
    while piece := process.stdout.read(_CHUNK):
        narrator.written += len(piece)
        yield piece
    narrator.join()
    if process.wait() != 0:
        raise BuildFailed(f"mmdebstrap ended with code {process.returncode}; its last words:\n{narrator.last_words()}")


class _Narrator:
    """Tells how far a build is: each step mmdebstrap names, and a sign of life when a step takes long."""

    def __init__(self, process: subprocess.Popen[bytes], say: Say, what: str) -> None:
        self.written = 0
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._heard: list[str] = []
        self._say, self._what, self._started = say, what, time.monotonic()
        assert process.stderr is not None
        self._threads = [
            threading.Thread(target=self._listen, args=(process.stderr,), daemon=True),
            threading.Thread(target=self._talk, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.put(line.decode(errors="replace").rstrip())
        self._lines.put(None)

    def _talk(self) -> None:
        step = "starting"
        while True:
            try:
                line = self._lines.get(timeout=HEARTBEAT_SECONDS)
            except queue.Empty:
                self._say(f"{self._what}: still {step} ({self._elapsed:.0f} s, {self.written >> 20} MiB written)")
                continue
            if line is None:
                return
            self._heard.append(line)
            if line.startswith("I: ") and line.endswith("..."):
                step = line[3:].rstrip(".")
                self._say(f"{self._what}: {step} ({self._elapsed:.0f} s)")

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def last_words(self) -> str:
        return "\n".join(f"  {line}" for line in self._heard[-20:])

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=10)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a build; mmdebstrap cleans up after itself when asked politely."""
    for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)


def _copied(pieces: Iterator[bytes], path: Path | None) -> Iterator[bytes]:
    if path is None:
        yield from pieces
        return
    with _replacing(path) as partial:
        for piece in pieces:
            partial.write(piece)
            yield piece


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears whole or not at all."""
    partial = path.with_name(path.name + f".partial-{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
