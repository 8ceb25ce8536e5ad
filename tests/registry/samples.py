"""Small things that the registry's tests are made of."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from registry.images import Image

RELEASE = 'KAIROS_NAME="kairos"\nKAIROS_VERSION="v1"\nKAIROS_IMAGE_LABEL="base"\n'
#: Of this process: other workers have registries of their own at the same time.
LABELS = {"palette-edge-conformance.test": f"registry-{os.getpid()}"}

ImageMaker = Callable[..., Image]


def tar_of(path: Path, files: Mapping[str, str]) -> Path:
    """Write a tar with the given files; a value that begins with ``->`` is a symbolic link."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:]
                tar.addfile(member)
            else:
                member.size = len(content.encode())
                tar.addfile(member, io.BytesIO(content.encode()))
    return path
