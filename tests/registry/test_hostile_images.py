"""Whatever an image in a registry is made of, whoever looks into it ends with a value or an expected error."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from typing import Any

import pytest
import zstandard

from doctor.image import look_at_image
from harness.sites.provider_kubernetes import held_kubernetes
from harness.sites.site_file import RemoteImage
from registry.address import RegistryAddress
from registry.contents import read_file_of
from registry.images import Image, copy
from registry.manifests import Manifest, RegistryError, digest_of
from registry.mint import mint
from registry.server import PrivateRegistry
from tests.foreign.hostile import NESTED
from tests.registry.test_hostile_registry import AUTHORITY, Answer, scripted


def packed(content: bytes, size: int, name: str = "etc/os-release") -> bytes:
    """Return a layer with a file that says it has ``size`` bytes."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf() + content + bytes(-len(content) % 512) + bytes(1024)


def descriptor(content: bytes, **odd: object) -> dict[str, Any]:
    """Return how a manifest describes a blob, with something odd about it; None leaves a field out."""
    right = {"digest": digest_of(content), "size": len(content), "mediaType": "application/x", "platform": 5}
    return {name: value for name, value in {**right, **odd}.items() if value is not None}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_layer_in_zstd_is_read(private_registry: PrivateRegistry, *, chunked: bool) -> None:
    """A file is found in a layer that buildx (zstd) or podman (zstd:chunked: many frames and a table) compressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("etc/os-release")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"zstd!"))
    whole, packer = buffer.getvalue(), zstandard.ZstdCompressor()
    parts_of_it = [whole[:300], whole[300:]] if chunked else [whole]
    layer = b"".join(map(packer.compress, parts_of_it)) + (b"\x50\x2a\x4d\x18\x04\x00\x00\x00info" if chunked else b"")
    with private_registry.client() as client:
        client.push_blob("a/zstd", digest_of(layer), len(layer), [layer])
        parts = {"config": descriptor(b"{}"), "layers": [descriptor(layer)]}
        manifest = Manifest(json.dumps(parts).encode(), "application/vnd.oci.image.manifest.v1+json")
        assert read_file_of(client, "a/zstd", manifest, "/etc/os-release") == b"zstd!"


LAYER = packed(b"x", 1)
RIGHT = b'{"rootfs": {"type": "layers", "diff_ids": []}}'
NESTED_INDEX = {"manifests": [descriptor(b"", platform={"os": "linux", "architecture": "amd64"})]}


@pytest.mark.parametrize(
    ("configuration", "layer", "manifest"),
    [
        *((RIGHT, LAYER, {"config": descriptor(RIGHT, **odd), "layers": [descriptor(LAYER)]})
          for odd in ({"size": None}, {"mediaType": None}, {"digest": 5}, {"size": "7"})),
        *((RIGHT, LAYER, {"config": descriptor(RIGHT), "layers": layers})
          for layers in (None, 5, [None], [descriptor(LAYER, size=None)], [descriptor(LAYER, mediaType=None)])),
        (RIGHT, LAYER, {"fsLayers": [], "history": []}), (RIGHT, LAYER, NESTED_INDEX), (RIGHT, LAYER, {"layers": []}),
        *((configuration, LAYER, None)
          for configuration in (b"{}", b'{"rootfs": 1}', b'{"rootfs": {"diff_ids": [], "type": 1}, "history": {}}')),
        (RIGHT, packed(b"KAIROS_NAME=\xe9", 13, "etc/kairos-release"), None),
        (NESTED, b"", None), (b"5", b"", None), (b"x" * (5 << 20), b"", None),
        (b'{"config": 5}', b"\x1f\x8b broken", None), (b'{"config": {"Labels": [1]}}', LAYER, None),
        (b"{}", packed(b"x", 1 << 40), None), (b"{}", b"\xff" * 600, None), (RIGHT, b"BZh9" + b"\xff" * 600, None),
        (RIGHT, b"\xfd7zXZ\x00" + b"\xff" * 600, None), (RIGHT, b"\x28\xb5\x2f\xfd" + b"\xff" * 600, None),
        (RIGHT, b"", None), (RIGHT, b"{}", None), (RIGHT, LAYER[:700], None),
    ],
)  # fmt: skip
def test_an_image_that_is_none_is_told_and_no_traceback(
    configuration: bytes, layer: bytes, manifest: dict[str, Any] | None
) -> None:
    """Whoever looks into an image, the doctor, a run or the choice of packs, ends with an error that is expected."""
    digests = {digest_of(content): content for content in (configuration, layer)}
    parts = manifest or {"config": descriptor(configuration), "layers": [descriptor(layer)]}

    def answer(method: str, path: str, _login: str) -> Answer:
        if method in ("POST", "PUT"):
            return (202 if method == "POST" else 201), {"Location": "/v2/a/b/blobs/uploads/1"}, b""
        content = digests.get(path.rpartition("/")[2], json.dumps(parts).encode())
        return 200, {"Content-Type": ""}, content

    with scripted(answer) as registry:
        address = RegistryAddress("127.0.0.1", registry.port)
        image = RemoteImage(address, "a/b", "v1", authority=AUTHORITY.pem)
        look_at_image(image)
        held_kubernetes(image)
        with registry.client() as client:
            found = Image(address, "a/b", "v1", client.manifest("a/b", "v1").digest)
            with contextlib.suppress(RegistryError):
                copy(client, found, client, repository="a/c", tag="v1")
            with contextlib.suppress(RegistryError):
                mint(client, found, "v2")
