from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from registry import contents
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.contents import configuration, platform_of, read_file_of
from registry.images import Image, copy, find, push_layout
from registry.layout import ImageLayout, NotALayout, write_layout
from registry.manifests import DOCKER_MANIFEST, OCI_INDEX, Manifest, RegistryError, digest_of, verified
from registry.mint import LABEL, RELEASE, Difference, mint, with_fields
from registry.server import PrivateRegistry
from tests.registry.samples import LABELS, ImageMaker, tar_of
from tests.registry.samples import RELEASE as RELEASE_TEXT

BASE = {"etc/kairos-release": RELEASE_TEXT, "usr/bin/big": "x" * 100_000}


@pytest.fixture
def base(make_image: ImageMaker) -> Image:
    """Return a provider image of two layers, the release file in the lower one."""
    return make_image(BASE, {"etc/other": "1"})


def index_of(registry: PrivateRegistry, image: Image, *architectures: str) -> Image:
    """Push an index that offers the image for several architectures, and an attestation, as build tools add them."""
    client = registry.client()
    raw = client.manifest(image.repository, image.digest)
    entry = {"mediaType": raw.media_type, "digest": raw.digest, "size": len(raw.raw)}
    platforms = [{"os": "linux", "architecture": name} for name in architectures]
    platforms.append({"os": "unknown", "architecture": "unknown"})
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{**entry, "platform": platform} for platform in platforms],
    }
    manifest = Manifest(json.dumps(content).encode(), OCI_INDEX)
    client.push_manifest(image.repository, "multi", manifest)
    return Image(registry.address, image.repository, "multi", manifest.digest)


def read_file(client: RegistryClient, image: Image, path: str, architecture: str = "amd64") -> bytes:
    """Return a file of the image for an architecture."""
    manifest = client.manifest(image.repository, image.digest)
    while manifest.is_index:
        children = manifest.content["manifests"]
        digest = next(child["digest"] for child in children if platform_of(child)[1] == architecture)
        manifest = client.manifest(image.repository, digest)
    return read_file_of(client, image.repository, manifest, path)


# --- layouts and pushing ---------------------------------------------------------------------------------------------


def test_the_same_files_give_the_same_digests(tmp_path: Path) -> None:
    """A layout written twice from the same tars has the same manifest, compressed or not; the two forms differ."""
    tar = tar_of(tmp_path / "0.tar", BASE)
    first = write_layout(tmp_path / "a", [tar], tag="v1").manifest()
    second = write_layout(tmp_path / "b", [tar], tag="v1").manifest("v1")
    plain = write_layout(tmp_path / "c", [tar], tag="v1", compress="none").manifest()

    assert first == second
    assert first.digest != plain.digest


def test_a_layout_holds_several_images_and_asks_which(tmp_path: Path) -> None:
    """With two images the name is needed; a name that is not there is answered with those that are."""
    tar = tar_of(tmp_path / "0.tar", BASE)
    write_layout(tmp_path / "layout", [tar], tag="v1")
    layout = write_layout(tmp_path / "layout", [tar], tag="v2", labels={"a": "b"})

    assert layout.manifest("v1").digest != layout.manifest("v2").digest
    with pytest.raises(NotALayout, match="v1, v2"):
        layout.manifest()
    with pytest.raises(NotALayout, match="v3"):
        layout.manifest("v3")


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"manifests": []}', '{"manifests": null}', '{"manifests": [5]}', "[" * 90_000]
)
def test_what_is_no_layout_is_refused_by_its_file(content: str | None, tmp_path: Path) -> None:
    """A directory without a proper index is refused, naming index.json."""
    if content is not None:
        (tmp_path / "index.json").write_text(content)

    with pytest.raises(NotALayout, match=r"index\.json"):
        ImageLayout(tmp_path).manifest()


def test_a_digest_cannot_lead_out_of_a_layout(tmp_path: Path) -> None:
    """A descriptor whose digest is a path, or that has none, is refused."""
    for odd in ({"digest": "sha256:../../etc/passwd"}, {}, {"digest": 5}):
        with pytest.raises(NotALayout, match="no digest"):
            ImageLayout(tmp_path).by_descriptor(odd)


def test_a_pushed_image_comes_back_byte_for_byte(private_registry: PrivateRegistry, tmp_path: Path) -> None:
    """Manifest, configuration and layers read from the registry are those of the layout; progress ends at the sizes."""
    moved: dict[str, tuple[int, int]] = {}
    layout = write_layout(tmp_path / "layout", [tar_of(tmp_path / "0.tar", {"a": "fresh"})], tag="v1")
    client = private_registry.client()

    image = push_layout(
        client,
        tmp_path / "layout",
        "bytes/same",
        "v1",
        progress=lambda digest, now, all_: moved.update({digest: (now, all_)}),
    )

    manifest = client.manifest("bytes/same", "v1")
    assert manifest == layout.manifest()
    assert image.pinned == private_registry.address.reference("bytes/same", manifest.digest)
    for blob in (manifest.content["config"], *manifest.content["layers"]):
        assert b"".join(client.blob("bytes/same", blob["digest"])) == layout.path(blob["digest"]).read_bytes()
        assert moved[blob["digest"]] == (blob["size"], blob["size"])


def test_blobs_that_are_there_are_not_sent_again(private_registry: PrivateRegistry) -> None:
    """A blob the repository has is not read at all; one that another repository has is taken over from there."""
    client = private_registry.client()
    content = b"shared blob"
    digest = digest_of(content)

    def unread() -> Iterator[bytes]:
        raise AssertionError("the blob was read")
        yield b""

    assert client.push_blob("one/repo", digest, len(content), [content])
    assert not client.push_blob("one/repo", digest, len(content), unread())
    assert not client.push_blob("other/repo", digest, len(content), unread(), mount_from="one/repo")
    assert b"".join(client.blob("other/repo", digest)) == content


def test_an_image_is_copied_between_registries_with_two_credentials(
    engine: docker.DockerClient, private_registry: PrivateRegistry, base: Image
) -> None:
    """A copy has the same digest; each registry sees its own account only."""
    with (
        PrivateRegistry(engine, labels=LABELS) as other,
        other.account("theirs", "their password") as theirs,
        private_registry.account("ours", "our password") as ours,
    ):
        source, target = private_registry.client(ours), other.client(theirs)
        copied = copy(source, base, target, repository="a/copy", tag="x")

        assert copied.digest == base.digest
        assert read_file(target, copied, RELEASE) == RELEASE_TEXT.encode()
        with pytest.raises(RegistryError, match="401"):
            copy(other.client(ours), copied, target, repository="b", tag="x")


def test_an_index_is_copied_with_everything_it_points_to(private_registry: PrivateRegistry, base: Image) -> None:
    """Of an index all images move, and its digest stays."""
    index = index_of(private_registry, base, "amd64", "arm64")
    client = private_registry.client()

    assert copy(client, index, client, repository="a/copied-index", tag="x").digest == index.digest


def test_a_deleted_image_is_gone(private_registry: PrivateRegistry, base: Image) -> None:
    """After deletion tag and digest are unknown; deleting twice is no error."""
    client = private_registry.client()
    minted = mint(client, base, "to-delete")
    for _ in range(2):
        client.delete_manifest(minted.repository, minted.digest)

    assert "to-delete" not in client.tags(base.repository)
    with pytest.raises(RegistryError, match="404"):
        find(client, base.repository, minted.digest)


def test_a_missing_repository_has_no_tags(private_registry: PrivateRegistry) -> None:
    """Asking a repository that does not exist for its tags gives none."""
    assert private_registry.client().tags("never/pushed") == []


def test_content_that_is_not_what_its_digest_says_is_an_error() -> None:
    """A stream whose hash is another one ends in an error, not in silence."""
    with pytest.raises(RegistryError, match="was asked for"):
        list(verified([b"a", b"b"], digest_of(b"abc"), "GET x"))
    with pytest.raises(RegistryError, match="unknown kind"):
        list(verified([b"a"], "md5:0", "GET x"))
    assert b"".join(verified([b"abc"], "sha512:" + hashlib.sha512(b"abc").hexdigest(), "GET x")) == b"abc"


def test_a_blob_changed_on_the_registrys_disk_is_noticed(engine: docker.DockerClient, temporary: Path) -> None:
    """A registry that serves other bytes than it promised is caught."""
    with PrivateRegistry(engine, labels=LABELS) as registry:
        client = registry.client()
        client.push_blob("a/b", digest_of(b"right"), 5, [b"right"])
        (path,) = [path for path in temporary.rglob("data") if "uploads" not in str(path)]
        path.write_bytes(b"wrong")

        with pytest.raises(RegistryError, match="was asked for"):
            list(client.blob("a/b", digest_of(b"right")))


# --- looking into images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([{"etc/f": "low"}], "low"),
        ([{"etc/f": "low"}, {"etc/f": "top"}], "top"),
        ([{"etc/f": "low"}, {"other": "x"}], "low"),
        ([{"./etc/f": "dotted"}], "dotted"),
        ([{"etc/f": "low"}, {"etc/.wh.g": ""}], "low"),
        ([{"etc/f": "low"}, {"etc/.wh..wh..opq": "", "etc/f": "new"}], "new"),
        ([{"usr/f": "aimed"}, {"etc/f": "->../usr/f"}], "aimed"),
        ([{"usr/f": "aimed"}, {"etc/f": "->/usr/f"}], "aimed"),
    ],
)
def test_a_file_is_read_as_the_layers_together_show_it(
    layers: list[dict[str, str]], expected: str, make_image: ImageMaker, private_registry: PrivateRegistry
) -> None:
    """The topmost layer that has the file counts; links are followed through all layers."""
    assert read_file(private_registry.client(), make_image(*layers), "/etc/f").decode() == expected


@pytest.mark.parametrize(
    "layers",
    [
        [{"etc/g": "x"}],
        [{"etc/f": "low"}, {"etc/.wh.f": ""}],
        [{"etc/f": "low"}, {".wh.etc": ""}],
        [{"etc/f": "low"}, {"etc/.wh..wh..opq": ""}],
        [{"etc/f": "->g", "etc/g": "->f"}],
    ],
)
def test_a_file_that_the_layers_together_do_not_show_is_missing(
    layers: list[dict[str, str]], make_image: ImageMaker, private_registry: PrivateRegistry
) -> None:
    """A whiteout of the file or of a directory above it, an opaque directory, or a circle of links: no such file."""
    with pytest.raises(FileNotFoundError, match="/etc/f"):
        read_file(private_registry.client(), make_image(*layers), "/etc/f")


def test_a_layer_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is small as it travels may be without bound once unpacked: files count together."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for number in range(3):
            entry = tarfile.TarInfo(f"zeros-{number}")
            entry.size = 1 << 20
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    monkeypatch.setattr(contents, "LARGEST_LAYER", 2 << 20)

    with pytest.raises(tarfile.ReadError, match="larger than any in a layer"):
        contents._look(iter([packed.getvalue()]), "etc/os-release")


# --- minting ---------------------------------------------------------------------------------------------------------


def test_a_minted_image_says_which_one_it_is_and_shares_the_rest(
    private_registry: PrivateRegistry, base: Image
) -> None:
    """It has a digest of its own, the lower layers by digest, the label in its release file and configuration."""
    client = private_registry.client()
    minted = mint(client, base, "v2", difference=Difference(label="second", release={"KAIROS_VERSION": "v2"}))

    old, new = (client.manifest(base.repository, image.digest).content for image in (base, minted))
    release = read_file(client, minted, RELEASE).decode().splitlines()
    config = configuration(client, base.repository, client.manifest(base.repository, "v2"))

    assert new["layers"][:-1] == old["layers"]
    assert minted.label == "second"
    assert minted.reference == f"{private_registry.address}/{base.repository}:v2"
    assert 'KAIROS_NAME="kairos"' in release
    assert 'KAIROS_VERSION="v2"' in release
    assert 'KAIROS_IMAGE_LABEL="second"' in release
    assert f'KAIROS_IMAGE_REPO="{private_registry.address}/{base.repository}"' in release
    assert config["config"]["Labels"][LABEL] == "second"
    assert len(config["rootfs"]["diff_ids"]) == len(new["layers"]) == len(config["history"])
    assert config["config"]["Env"] == ["A=b"]


def test_the_new_layer_leaves_directories_alone(private_registry: PrivateRegistry, base: Image) -> None:
    """The layer has the files and nothing else, and its diff id is that of the tar inside."""
    client = private_registry.client()
    minted = mint(client, base, "v3", difference=Difference(files={"/etc/more": b"1"}))
    manifest = client.manifest(base.repository, minted.digest)
    tar = gzip.decompress(b"".join(client.blob(base.repository, manifest.content["layers"][-1]["digest"])))

    with tarfile.open(fileobj=io.BytesIO(tar)) as layer:
        assert layer.getnames() == ["etc/kairos-release", "etc/more"]
    assert configuration(client, base.repository, manifest)["rootfs"]["diff_ids"][-1] == digest_of(tar)


def test_a_docker_image_stays_one(private_registry: PrivateRegistry, base: Image) -> None:
    """Minted from an image in Docker's own format, the manifest and the new layer have Docker's types."""
    client = private_registry.client()
    content = client.manifest(base.repository, base.digest).content | {"mediaType": DOCKER_MANIFEST}
    manifest = Manifest(json.dumps(content).encode(), DOCKER_MANIFEST)
    client.push_manifest(base.repository, "docker", manifest)

    minted = mint(client, find(client, base.repository, "docker"), "docker-2")
    found = client.manifest(base.repository, minted.digest)
    assert found.media_type == DOCKER_MANIFEST
    assert found.content["layers"][-1]["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_minting_is_repeatable_and_otherwise_never_the_same(private_registry: PrivateRegistry, base: Image) -> None:
    """The same difference gives the same digest; without a label every image is new."""
    client = private_registry.client()
    fixed = [mint(client, base, "same", difference=Difference(label="same")).digest for _ in range(2)]
    fresh = [mint(client, base, "fresh").digest for _ in range(2)]

    assert fixed[0] == fixed[1]
    assert fresh[0] != fresh[1]


def test_minted_images_can_be_minted_from(private_registry: PrivateRegistry, base: Image) -> None:
    """A third image on top of a second one says what the third says."""
    client = private_registry.client()
    second = mint(client, base, "v2", difference=Difference(label="second"))
    third = mint(client, second, "v3", difference=Difference(label="third"))

    assert 'KAIROS_IMAGE_LABEL="third"' in read_file(client, third, RELEASE).decode()
    assert read_file(client, third, RELEASE).decode().count("KAIROS_IMAGE_LABEL") == 1


@pytest.mark.parametrize("depth", [1, 2])
def test_an_index_is_minted_whole(private_registry: PrivateRegistry, base: Image, depth: int) -> None:
    """Every image of an index is varied, platforms stay, attestations of the old digests go; so within an index."""
    client, index = private_registry.client(), base
    for _ in range(depth):
        index = index_of(private_registry, index, "amd64", "arm64")
    minted = mint(client, index, "multi-2", difference=Difference(label="two"))
    content = client.manifest(base.repository, minted.digest).content

    assert [child["platform"]["architecture"] for child in content["manifests"]] == ["amd64", "arm64"]
    for architecture in ("amd64", "arm64"):
        text = read_file(client, minted, RELEASE, architecture).decode()
        assert 'KAIROS_IMAGE_LABEL="two"' in text


def test_an_image_for_another_machine_says_so(private_registry: PrivateRegistry, base: Image) -> None:
    """The negative case of a wrong architecture: configuration and index claim it."""
    client = private_registry.client()
    single = mint(client, base, "wrong", difference=Difference(architecture="arm64"))
    index = mint(
        client, index_of(private_registry, base, "amd64"), "wrong-2", difference=Difference(architecture="arm64")
    )

    config = configuration(client, base.repository, client.manifest(base.repository, single.digest))
    assert config["architecture"] == "arm64"
    offered = client.manifest(index.repository, index.digest).content["manifests"]
    assert [platform_of(child) for child in offered] == [("linux", "arm64")]


def test_an_image_without_a_release_file_gets_one(private_registry: PrivateRegistry, make_image: ImageMaker) -> None:
    """Minting works from any image."""
    client = private_registry.client()
    minted = mint(client, make_image({"bin/sh": "x"}), "v2", difference=Difference(label="x"))

    assert 'KAIROS_IMAGE_LABEL="x"' in read_file(client, minted, RELEASE).decode()


def test_an_image_is_the_same_through_another_address(private_registry: PrivateRegistry, base: Image) -> None:
    """Minted from a source seen through the witness, it is named by the witness' address, in its release file, too."""
    front = RegistryAddress("registry.example.org", 5000)
    client = private_registry.client()
    minted = mint(client, base.at(front), "fronted")

    assert minted.reference.startswith("registry.example.org:5000/")
    assert 'KAIROS_IMAGE_REPO="registry.example.org:5000/' in read_file(client, minted, RELEASE).decode()


@pytest.mark.parametrize("value", ['a"b', "a$b", "a`b", "a\\b", "a\nb"])
def test_a_release_value_that_a_shell_would_read_otherwise_is_refused(value: str) -> None:
    """Release files are read by shells; what they would expand is not written."""
    with pytest.raises(ValueError, match="KAIROS_X"):
        with_fields("", {"KAIROS_X": value})
