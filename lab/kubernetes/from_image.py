"""The programs of a Kubernetes that images have: those that the engine holds, else pulled."""

from __future__ import annotations

import tarfile
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import ImageNotFound, NotFound

from engine.ownership import Owner
from engine.reach import EngineUnavailable, connect
from engine.trouble import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import docker
    from docker.models.containers import Container

    from engine.debian import Say

#: Where images have their programs, the usual places first.
PLACES = ("usr/local/bin", "usr/bin", "bin", "", "kubernetes/server/bin", "opt/bin")
#: Bytes of a program that are kept in memory while it is taken out.
_IN_MEMORY = 1 << 20


def take_out(references: Iterable[str], wanted: Iterable[str], folder: Path, say: Say) -> str:
    """Copy the programs that images have into a directory, each whole or not at all.

    Returns why an image could not be looked into; nothing of one is run.
    """
    lacking = {name for name in wanted if not (folder / name).exists()}
    folder.mkdir(exist_ok=True)
    try:
        engine = connect(say, provision=False)
        for reference in references:
            say(f"taking programs out of the image {reference}")
            container = _container(engine, reference)
            try:
                lacking -= {name for name in lacking if _copy(container, name, folder)}
            finally:
                container.remove()
    except (EngineUnavailable, *TROUBLE) as error:
        return str(error)
    return ""


def _container(engine: docker.DockerClient, reference: str) -> Container:
    try:
        engine.images.get(reference)
    except ImageNotFound:
        engine.images.pull(reference)
    labels = Owner.this_process("kubernetes-programs").labels
    return engine.containers.create(reference, ["never-run"], labels=labels, network_mode="none")


def _copy(container: Container, name: str, folder: Path) -> bool:
    """Copy a program, following no link; return whether the image has it."""
    for place in PLACES:
        with suppress(NotFound), tempfile.TemporaryFile() as archive:
            stream, _about = container.get_archive(f"/{place}/{name}")
            archive.writelines(stream)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as tar:
                member = tar.next()
                content = tar.extractfile(member) if member and member.isfile() else None
                if content is None:
                    continue
                partial = folder / f"{name}.partial"
                with partial.open("wb") as out:
                    while piece := content.read(_IN_MEMORY):
                        out.write(piece)
                partial.chmod(0o755)
                partial.replace(folder / name)
                return True
    return False
