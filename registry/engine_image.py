"""The engine image that a registry container runs: there, pulled, or built from Debian's package of the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import DockerException

from engine.debian import Recipe, Say, has_image, image_from_packages, image_tag

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_IMAGE = "registry:2"
LOCAL_NAME = "palette-edge-conformance/registry"

_RECIPE = Recipe(
    packages=("docker-registry",),  # distribution 2.8, the program inside registry:2
    variant="extract",  # one program and the C library: nothing needs to be configured
    exclude=("/usr/share/perl*", "/usr/lib/*/perl*", "/usr/lib/*/libperl*", "/usr/bin/perl*", "/usr/lib/*/gconv/*"),
)
# like the upstream image it takes the path of a configuration file as its argument
_CONFIG = ('ENTRYPOINT ["/usr/bin/docker-registry", "serve"]', 'CMD ["/etc/docker/registry/config.yml"]')


class ImageUnavailable(RuntimeError):  # noqa: N818 - it says what is the matter
    """The registry image that was asked for is neither on the engine nor to be pulled."""


def registry_image(client: DockerClient, wanted: str = DEFAULT_IMAGE, *, say: Say = print) -> str:
    """Return the name of an image on the engine that runs a registry.

    An image that is there is used, else it is pulled; only for ``registry:2`` itself does a build from Debian's
    ``docker-registry`` stand in. Raises :exc:`ImageUnavailable` for another image that cannot be pulled, and what
    :func:`engine.debian.image_from_packages` raises.
    """
    built = image_tag(LOCAL_NAME, _RECIPE, _CONFIG)
    for image in (wanted, built) if wanted == DEFAULT_IMAGE else (wanted,):
        if has_image(client, image):
            return image
    reason = _pull(client, wanted, say)
    if reason is None:
        return wanted
    if wanted != DEFAULT_IMAGE:
        raise ImageUnavailable(f"registry image {wanted!r} is not on the engine and cannot be pulled: {reason}")
    say(f"{wanted} cannot be pulled; building the same program from Debian's package")
    return image_from_packages(client, LOCAL_NAME, _RECIPE, config=_CONFIG, say=say)


def _pull(client: DockerClient, image: str, say: Say) -> str | None:
    """Pull; give the engine's reason if it cannot be had."""
    say(f"pulling {image}")
    name, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
    try:
        client.images.pull(name, tag=tag)
    except DockerException as error:
        return getattr(error, "explanation", None) or str(error)
    return None
