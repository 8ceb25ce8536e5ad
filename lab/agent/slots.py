"""The two slots of an immutable host, and the store of unpacked layers they are put together from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lab.agent import places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYERS = places.COS_STATE / "layers"
SLOTS = places.COS_STATE / "cOS"
WHITEOUT = ".wh."


@dataclass(frozen=True)
class Slot:
    """A bootable system: the image it came from, the digest of its manifest, its layers from the bottom up."""

    image: str
    digest: str
    layers: tuple[str, ...]


def booted() -> Slot:
    """Return the slot this boot runs from."""
    return _read(places.BOOTED_SLOT)


def active() -> Slot:
    """Return the slot that the next boot will use."""
    return _read(SLOTS / "active.img")


def passive() -> Slot:
    """Return the slot that boots when the active one cannot."""
    return _read(SLOTS / "passive.img")


def is_passive_booted() -> bool:
    """Return whether this boot fell back to the passive slot."""
    return places.read_json(places.BOOTED_SLOT).get("name") == "passive"


def _read(path: Path) -> Slot:
    return slot_of_record(places.read_json(path))


def slot_of_record(record: dict[str, Any]) -> Slot:
    """Read a slot from its record. Raises KeyError."""
    return Slot(str(record["image"]), str(record["digest"]), tuple(map(str, record["layers"])))


def switch_to(slot: Slot) -> None:
    """Make ``slot`` the active one; the active becomes the passive, the passive is dropped (docs/palette.md R-081).

    A host that runs from its passive slot keeps that one: its active slot is the broken one. Doing it twice changes
    nothing more, so that an interrupted switch can be repeated.
    """
    if not is_passive_booted() and active() != slot:
        _replace("passive.img", active())
    _replace("active.img", slot)
    os.sync()


def _replace(name: str, slot: Slot) -> None:
    """Write a slot's record, whole or not at all."""
    partial = SLOTS / "transition.img"
    partial.write_text(json.dumps(asdict(slot)))
    partial.replace(SLOTS / name)


def has_layer(diff_id: str) -> bool:
    """Return whether the layer is unpacked on this host already."""
    return (LAYERS / bare(diff_id)).is_dir()


def add_layer(diff_id: str, fill: Callable[[Path], None]) -> None:
    """Unpack a layer into the store with ``fill(directory)``, whole or not at all."""
    partial = LAYERS / f"partial-{bare(diff_id)}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    partial.rename(LAYERS / bare(diff_id))


def unpack_tar(tar: Path) -> Callable[[Path], None]:
    """Fill a layer from its (compressed) tar, with an image's whiteouts turned into the file system's own."""

    def fill(directory: Path) -> None:
        command = ["tar", "--extract", "--numeric-owner", "--xattrs", "--file", str(tar), "--directory", str(directory)]
        subprocess.run(command, check=True, capture_output=True)
        for mark in [*directory.rglob(WHITEOUT + "*")]:
            if mark.name == WHITEOUT + WHITEOUT + "opq":
                os.setxattr(mark.parent, "trusted.overlay.opaque", b"y")
            else:
                os.mknod(mark.parent / mark.name.removeprefix(WHITEOUT), 0o600 | 0o020000, os.makedev(0, 0))
            mark.unlink()

    return fill


def copy_tree(source: Path) -> Callable[[Path], None]:
    """Fill a layer from a directory that already is in the file system's own form."""

    def fill(directory: Path) -> None:
        subprocess.run(["cp", "--archive", f"{source}/.", str(directory)], check=True, capture_output=True)

    return fill


def drop_unused_layers() -> None:
    """Remove layers that no slot and not the running system needs; the medium's base layer always stays."""
    medium = str(places.read_json(places.MEDIUM_RECORD)["diff_id"])
    used = {medium, *booted().layers, *active().layers, *passive().layers}
    for layer in LAYERS.iterdir():
        if layer.name not in used:
            shutil.rmtree(layer, ignore_errors=True)


def bare(digest: str) -> str:
    """``sha256:abc`` as ``abc``."""
    return digest.partition(":")[2] or digest
