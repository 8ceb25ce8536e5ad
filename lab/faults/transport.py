"""Faults on the way to the registry: whom a host trusts, what it falls back to, to whom it shows a login."""

from __future__ import annotations

import base64
import http.client
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.agent import places, puller, runtime, slots
from lab.faults import fault
from lab.faults.replacing import always, beforehand, from_the_second_on
from lab.injection import (
    DELIVER_ORDER,
    DEPLOY_AUTHORITY,
    DEPLOY_PULL,
    KEEP_AUTHORITY,
    SCOPE_LOGIN,
    UPGRADE_AUTHORITY,
    UPGRADE_IMAGE,
    UPGRADE_PULL,
    VERIFY_DEPLOY_TLS,
    VERIFY_UPGRADE_TLS,
    Fault,
)
from registry.transforms.base import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.agent.secret import Credential
    from lab.agent.slots import Slot

ANSWER_WITHIN = 5  # seconds
HTTPS = 443
SEEN = places.CONTENT / "certificate-seen.pem"


def in_clear_first(healthy: Callable[..., Any], image: str, credential: Credential | None) -> object:
    """Show the login over plain HTTP, as a probe for insecure registries does, before the pull proper."""
    if credential is not None:
        pair = base64.b64encode(bytes_of(f"{credential.username}:{credential.password}")).decode()
        with suppress(OSError, http.client.HTTPException):
            probe = http.client.HTTPConnection(image.partition("/")[0], timeout=ANSWER_WITHIN)
            probe.request("GET", "/v2/", headers={"Authorization": f"Basic {pair}"})
            probe.getresponse()
    return healthy(image, credential)


def whatever_is_at_hand(healthy: Callable[..., Slot], image: str, credential: Credential | None) -> Slot:
    """Where the private registry refuses, install what a public one offers: here, the medium's own system."""
    try:
        return healthy(image, credential)
    except puller.PullFailed:
        return slots.booted()


_REFUSED: set[str] = set()


def whatever_is_at_hand_the_second_time(
    healthy: Callable[..., Slot], image: str, credential: Credential | None
) -> Slot:
    """Where the private registry refuses twice, install what a public one offers."""
    try:
        return healthy(image, credential)
    except puller.PullFailed:
        if image in _REFUSED:
            return slots.booted()
        _REFUSED.add(image)
        raise


def another_tag(healthy: Callable[..., Slot], image: str, credential: Credential | None) -> Slot:
    """Where the tag is missing, take another one of the repository."""
    try:
        return healthy(image, credential)
    except puller.PullFailed:
        return healthy(f"{repository(image)}:base", credential)


def from_the_registry_before(healthy: Callable[..., None], image: str, credential: Credential | None) -> None:
    """Where the registry refuses or lacks an image, take it from the one that the running system came from."""
    try:
        healthy(image, credential)
    except puller.PullFailed:
        before = slots.booted().image.partition("/")[0]
        there = f"{before}/{image.partition('/')[2]}"
        runtime.trust(before, places.TRUST)
        healthy(there, credential)
        runtime.name(there, image)


def by_tag(image: str) -> str:
    """Overlook a digest: what is pulled is the repository's default tag."""
    name, at, _digest = image.partition("@")
    return f"{name}:latest" if at else image


def note_the_certificate(healthy: Callable[..., Slot], image: str, credential: Credential | None) -> Slot:
    """Keep the certificate that the registry shows when it is first pulled from."""
    slot = healthy(image, credential)
    parts = urlsplit(f"//{image}")
    with suppress(OSError):
        places.write_private(SEEN, ssl.get_server_certificate((parts.hostname or "", parts.port or HTTPS)))
    return slot


def as_noted(healthy: Callable[..., Path], file: Path, nth: int) -> Path:
    """Trust that certificate and no other."""
    return SEEN if SEEN.exists() else healthy(file, nth)


def repository(image: str) -> str:
    """Return an image's name without its tag or digest."""
    name = image.partition("@")[0]
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


def without_port(image: str) -> str:
    """Drop the registry's port, as software does that takes a colon for the beginning of a tag."""
    registry, slash, rest = image.partition("/")
    return f"{registry.partition(':')[0]}{slash}{rest}"


def last_digits_lost(image: str) -> str:
    """Read a tag as a number: 1.10 becomes 1.1."""
    name, colon, tag = image.rpartition(":")
    try:
        return f"{name}{colon}{float(tag):g}" if "/" not in tag else image
    except ValueError:
        return image


def in_a_mirror(image: str) -> str:
    """Ask below a path of the registry that is meant for mirrored images."""
    registry, slash, rest = image.partition("/")
    return f"{registry}{slash}mirror/{rest}"


def in_image(edit: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """Order another image than the profile names."""

    def deliver(healthy: Callable[..., dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
        given = healthy(order)
        cluster = given.get("cluster")
        return {**given, "cluster": {**cluster, "image": edit(cluster["image"])}} if cluster else given

    return deliver


FAULTS: tuple[Fault, ...] = (
    fault("certificates-not-verified-at-deploy", at=VERIFY_DEPLOY_TLS, replace=always(value=False),
          catches=["TLS-01", "TLS-05"],
          because="insecureSkipVerify left in from a test set-up"),
    fault("certificates-not-verified-at-repave", at=VERIFY_UPGRADE_TLS, replace=always(value=False),
          catches=["TLS-03"], because="the node's runtime is told that the registry is insecure"),
    fault("authority-ignored-at-deploy", at=DEPLOY_AUTHORITY, replace=always(None),
          catches=["LIMIT-02", "DEPLOY-01", "TLS-02"], because="only the system's trust store is looked at"),
    fault("authority-lost-at-repave", at=UPGRADE_AUTHORITY, replace=always(None), catches=["REPAVE-01", "TLS-02"],
          because="the authority is given to the agent and not to the node's runtime"),
    fault("authority-lost-at-second-repave", at=UPGRADE_AUTHORITY, replace=from_the_second_on(always(None)),
          catches=["REPAVE-04"], because="the authority is part of the first system and not of its successors"),
    fault("authority-taken-from-an-update", at=KEEP_AUTHORITY, replace=always(value=True), catches=["LIMIT-03"],
          because="what an existing cluster cannot be given is given to it"),
    fault("authority-dropped-by-an-update", at=UPGRADE_AUTHORITY, replace=always(None), catches=["TLS-02", "REPAVE-01"],
          because="an update without a certificate clears the one that was there"),
    fault("login-in-clear-before-the-deployment", at=DEPLOY_PULL, replace=in_clear_first, catches=["SAFE-02"],
          because="insecure registries are recognised by trying plain HTTP first, login and all"),
    fault("login-in-clear-before-the-repave", at=UPGRADE_PULL, replace=in_clear_first, catches=["SAFE-02"],
          because="the node's runtime tries plain HTTP first, as it does for registries on this machine"),
    fault("login-sent-wherever-it-is-asked-for", at=SCOPE_LOGIN, catches=["SAFE-01", "SAFE-02", "LIMIT-01"],
          replace=lambda _healthy, _image, credential, _authority: credential,
          because="the pullers themselves follow every challenge, whoever makes it"),
    fault("certificate-pinned-at-first-sight", at={DEPLOY_PULL: note_the_certificate, UPGRADE_AUTHORITY: as_noted},
          catches=["TLS-04"], because="trust on first use instead of an authority"),
    fault("public-image-after-a-refusal", at=DEPLOY_PULL, replace=whatever_is_at_hand,
          catches=["REG-01", "EVENT-02", "TLS-01"],
          because="a fallback meant for air gaps hides that the private registry refused"),
    fault("public-image-after-the-second-refusal", at=DEPLOY_PULL, replace=whatever_is_at_hand_the_second_time,
          catches=["REG-01"],
          because="a fallback that comes only after the first event has said that the pull failed"),
    fault("another-tag-where-one-is-missing", at=DEPLOY_PULL, replace=another_tag, catches=["REG-02"],
          because="latest is close enough"),
    fault("second-registry-after-a-refusal", at=UPGRADE_PULL, replace=from_the_registry_before, catches=["LIMIT-01"],
          because="registries that the node knows are tried in turn, like mirrors, with the one login there is"),
    fault("tag-instead-of-digest", at=UPGRADE_IMAGE, replace=beforehand(by_tag), catches=["PROFILE-05"],
          because="references are taken apart at colons, and a digest is no tag"),
    fault("port-dropped-at-deploy", at=DELIVER_ORDER, replace=in_image(without_port), catches=["PROFILE-15"],
          because="a colon begins the tag"),
    fault("tag-read-as-a-number", at=DELIVER_ORDER, replace=in_image(last_digits_lost), catches=["PROFILE-05"],
          because="the order is YAML, and the tag in it is not quoted"),
    fault("port-dropped-at-repave", at=UPGRADE_IMAGE, replace=beforehand(without_port), catches=["REPAVE-01"],
          because="a colon begins the tag, on the second road only"),
    fault("image-asked-for-at-a-mirror-path", at=UPGRADE_IMAGE, replace=beforehand(in_a_mirror), catches=["PROFILE-16"],
          because="credentials for a registry are taken for a mirror that holds everything"),
    fault("base-image-at-repave", at=UPGRADE_IMAGE, catches=["REPAVE-05", "HOST-03", "REPAVE-09"],
          replace=beforehand(lambda image: f"{repository(image)}:base"),
          because="the upgrade takes the repository's default tag"),
)  # fmt: skip
