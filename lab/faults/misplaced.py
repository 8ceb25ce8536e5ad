"""Faults that do the right thing with what is from another place, by too short a key, in one phase or on one host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.faults import fault
from lab.faults.credentials import profile_before_user_data
from lab.faults.host import without_the_secret
from lab.faults.replacing import always, changed_by, user_name, when
from lab.injection import (
    APPLY_VERSION,
    APPROVE,
    CARRY_CREDENTIAL,
    CHOOSE_SOURCE,
    DEPLOY_AUTHORITY,
    DEPLOY_CREDENTIAL,
    FORGET_CLUSTER,
    INSTALL_SYSTEM,
    KEEP_AUTHORITY,
    REPLACE_SYSTEM,
    RESOLVE_MACRO,
    UPGRADE_AUTHORITY,
    UPGRADE_CREDENTIAL,
    VERIFY_UPGRADE_TLS,
    Fault,
    Where,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from lab.agent.secret import Credential
    from lab.faults.replacing import Replacement
    from lab.palette.store import LayerRecords
    from lab.palette.values import DeclaredCredential

# --- one host, one try, one repave

GATES: dict[str, Callable[[Where, Any], bool]] = {
    "on-workers": lambda at, _value: at.role == "worker",
    "on-the-second-host": lambda at, _value: at.node.endswith("2"),
}


def second_try(at: Where, _value: object) -> bool:
    """Return whether a pull that failed is tried again."""
    return at.attempt > 1


def third_repave(at: Where, _value: object) -> bool:
    """Return whether it is the third repave, or a later one."""
    return at.repave > 2  # noqa: PLR2004 - that it is


def _gated() -> Iterator[Fault]:
    """Yield what is right on most hosts and at most times."""
    wrong: dict[str, tuple[Any, Replacement]] = {
        "login-lost-at-deploy": (DEPLOY_CREDENTIAL, always(None)),
        "login-lost-at-repave": (UPGRADE_CREDENTIAL, always(None)),
        "user-upper-cased-at-repave": (UPGRADE_CREDENTIAL, user_name(str.upper)),
        "password-encoded-at-repave": (UPGRADE_CREDENTIAL, changed_by("base64-encoded")),
        "authority-lost-at-deploy": (DEPLOY_AUTHORITY, always(None)),
        "authority-lost-at-repave": (UPGRADE_AUTHORITY, always(None)),
        "other-system-installed": (INSTALL_SYSTEM, lambda healthy, pulled, phase: replace(
            healthy(pulled, phase), layers=healthy(pulled, phase).layers[:-1])),
    }  # fmt: skip
    for name, (point, replacement) in wrong.items():
        for gate, condition in GATES.items():
            yield fault(
                f"{name}-{gate}", at=point, replace=when(condition, replacement),
                catches=["REPAVE-05" if name == "other-system-installed" else "REPAVE-06"],
                because="what is given to the first node of a cluster is not given to the next",
            )  # fmt: skip
    for gate, condition in GATES.items():
        yield fault(
            f"authority-taken-from-an-update-{gate}", at=KEEP_AUTHORITY, replace=when(condition, always(value=True)),
            catches=["LIMIT-03"], because="that a cluster is there already is known to its first node only",
        )  # fmt: skip
        yield fault(
            f"certificates-not-verified-at-repave-{gate}", at=VERIFY_UPGRADE_TLS,
            replace=when(condition, always(value=False)),
            catches=["TLS-03"], because="what the first node's runtime is told of the registry the next one's is not",
        )  # fmt: skip
    for name in ("login-lost-at-repave", "password-encoded-at-repave", "authority-lost-at-repave"):
        point, replacement = wrong[name]
        yield fault(
            f"{name}-at-the-third", at=point, replace=when(third_repave, replacement),
            catches=["REPAVE-04"], because="a rotation of two slots has used up both",
        )  # fmt: skip
    for name in (
        "login-lost-at-repave", "password-encoded-at-repave", "user-upper-cased-at-repave",
        "login-lost-at-deploy", "authority-lost-at-deploy",
    ):  # fmt: skip
        point, replacement = wrong[name]
        yield fault(
            f"{name}-at-a-second-try", at=point, replace=when(second_try, replacement),
            catches=["REPAVE-03" if name.endswith("repave") else "DEPLOY-03"],
            because="what a pull is given is used up, or worked on again, once it has failed",
        )  # fmt: skip


# --- too short a key


class KeptBy:
    """The login of a cluster's layers as it was when ``key(login, image)`` was seen first; clusters apart."""

    def __init__(self, key: Callable[[DeclaredCredential, str], Hashable]) -> None:
        self._key = key
        self._kept: dict[Hashable, Any] = {}

    def __call__(
        self, healthy: Callable[..., LayerRecords], current: object, new: LayerRecords, *, where: Where
    ) -> LayerRecords:
        """Return the new layers with the login that is kept under their key."""
        layers = healthy(current, new)
        if layers.os.credential is None:
            return layers
        key = (where.cluster, self._key(layers.os.credential, layers.os.image))
        return replace(layers, os=replace(layers.os, credential=self._kept.setdefault(key, layers.os.credential)))


def newest_ever(_healthy: object, current: LayerRecords | None, new: LayerRecords) -> LayerRecords:
    """Stay with a login once given, unless the image is another repository's."""
    if current is None or current.os.credential is None:
        return new
    return replace(new, os=replace(new.os, credential=current.os.credential))


class AsDeployed:
    """Macros of a cluster as they were at its deployment."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str | None] = {}

    def __call__(self, healthy: Callable[..., str | None], name: str, scopes: Any, *, where: Where) -> str | None:  # noqa: ANN401
        """Return the value that the cluster was deployed with."""
        value = healthy(name, scopes)
        return self._known.setdefault((where.cluster, name), value) if where.cluster else value


def without_login(delivery: Any) -> Any:  # noqa: ANN401 - the endpoint's own
    """Return a delivery whose layers have no login."""
    return replace(delivery, layers=replace(delivery.layers, os=replace(delivery.layers.os, credential=None)))


def of_the_order(_healthy: object, order: dict[str, Any], user_data: dict[str, Any], phase: str) -> Any:  # noqa: ANN401
    """Read the profile only."""
    return profile_before_user_data(None, order, user_data, phase)


def registry_of_the_image(healthy: Callable[..., Credential | None], found: Credential | None, *, where: Where) -> Any:  # noqa: ANN401
    """Store the login for another port of its registry."""
    credential = healthy(found)
    return credential and replace(credential, registry=f"{where.registry.partition(':')[0]}:1")


FAULTS: tuple[Fault, ...] = (
    *_gated(),
    fault("login-kept-by-user-name", at=APPLY_VERSION, catches=["CRED-02"],
          replace=KeptBy(lambda login, _image: login.user),
          because="a cache of logins whose key is the user"),
    fault("login-kept-by-registry", at=APPLY_VERSION, catches=["CRED-02"],
          replace=KeptBy(lambda login, _image: login.registry),
          because="a cache of logins whose key is the registry"),
    fault("login-kept-by-registry-without-port", at=APPLY_VERSION, catches=["CRED-02"],
          replace=KeptBy(lambda login, _image: login.registry.partition(":")[0]),
          because="a cache of logins whose key is the name of the registry"),
    fault("login-kept-by-repository", at=APPLY_VERSION, catches=["CRED-02"],
          replace=KeptBy(lambda _login, image: image.rpartition(":")[0]),
          because="a cache of logins whose key is the image without its tag"),
    fault("login-kept-by-profile", at=APPLY_VERSION, catches=["CRED-02"],
          replace=KeptBy(lambda _login, _image: "cluster"),
          because="a cache of logins whose key is the cluster"),
    fault("login-of-the-running-version", at=APPLY_VERSION, replace=newest_ever, catches=["CRED-02", "CRED-06"],
          because="the login is read of the version that runs, the image of the one that is to run"),
    fault("macro-as-deployed", at=RESOLVE_MACRO, replace=AsDeployed(), catches=["MACRO-03"],
          because="a repave renders with the values that were resolved when the cluster was made"),
    fault("approval-loses-the-login", at=APPROVE, catches=["REPAVE-01", "REPAVE-03"],
          replace=lambda healthy, waiting: without_login(healthy(waiting)),
          because="what waits for approval is stored without its secrets"),
    fault("user-data-ignored-at-repave", at=CHOOSE_SOURCE, catches=["PREC-01"],
          replace=when(lambda at, _value: at.phase == "repave", of_the_order),
          because="the upgrade is given what Palette has, not what the host has"),
    fault("user-data-ignored-at-deploy", at=CHOOSE_SOURCE, catches=["PREC-01"],
          replace=when(lambda at, _value: at.phase == "deploy", of_the_order),
          because="user data is read once the cluster runs"),
    fault("repaved-on-the-control-plane-only", at=REPLACE_SYSTEM, catches=["REPAVE-06"],
          replace=when(GATES["on-workers"], always(value=False)),
          because="the version of a pool is that of its first node"),
    fault("login-left-on-workers", at=FORGET_CLUSTER, catches=["HOST-08"],
          replace=when(GATES["on-workers"], without_the_secret),
          because="the clean-up of a cluster is that of its control plane"),
    fault("login-stored-for-another-port", at=CARRY_CREDENTIAL, replace=registry_of_the_image, catches=["REPAVE-01"],
          because="the Secret names the registry without its port"),
)  # fmt: skip
