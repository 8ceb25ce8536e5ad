"""Faults that change the registry login on its way, or take it from the wrong place."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lab.agent import places, secret
from lab.agent.secret import Credential
from lab.faults import fault
from lab.faults.replacing import always, changed_by, from_the_second_on, user_name
from lab.injection import (
    CARRY_CREDENTIAL,
    CHOOSE_SOURCE,
    DELIVER_ORDER,
    DEPLOY_CREDENTIAL,
    FORGET_CLUSTER,
    READ_OS_LAYER,
    REMEMBER,
    RENDER_VALUES,
    RESOLVE_MACRO,
    UPGRADE_CREDENTIAL,
    Fault,
    Point,
)
from registry.transforms import TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.faults.replacing import Replacement

# --- every known change of a password, on each road it travels

#: Changes that nobody can see on a password that registry:2 accepts: it holds no NUL, and bcrypt takes 72 bytes.
INVISIBLE = frozenset({"cut-at-nul", "nul-trimmed", "first-72"})
#: Changes into a value that the road itself does not have; the faults further down bring such a value along.
ELSEWHERE = frozenset({"previous", "other-registry"})
#: Of each family of changes those that software in the field shows, for the road that is long: the second repave.
TYPICAL = (
    "base64-standard", "base64-alphanumeric-prefix", "base64-url", "base64-lenient", "base64-or-fail",
    "base64-encoded", "trimmed", "line-end-lost", "newline-added", "quotes-lost", "cut-at-colon", "cut-at-hash",
    "cut-at-dollar", "emptied", "swapped", "masked", "null-word", "auth-field", "shell-expanded", "envsubst",
    "dollars-collapsed", "percent-decoded",
    "html-escaped", "json-escaped-ascii", "backslashes-processed", "yaml-typed-kubernetes", "yaml-unquoted",
    "go-template-rendered", "latin-1-replaced", "nfc", "ascii-only", "specials-removed", "lower-case",
)  # fmt: skip

ROADS: tuple[tuple[str, Point, str, Callable[[str], Replacement]], ...] = (
    ("on-repave", UPGRADE_CREDENTIAL, "REPAVE-03", changed_by),
    ("on-deploy", DEPLOY_CREDENTIAL, "DEPLOY-03", changed_by),
    ("on-second-repave", UPGRADE_CREDENTIAL, "REPAVE-04", lambda name: from_the_second_on(changed_by(name))),
)


def _changes() -> Iterator[Fault]:
    visible = [rule for rule in TRANSFORMS if rule.id not in INVISIBLE | ELSEWHERE]
    for road, point, requirement, wrong in ROADS:
        for rule in visible:
            if road != "on-second-repave" or rule.id in TYPICAL:
                yield fault(
                    f"{rule.id}-{road}", at=point, replace=wrong(rule.id), catches=[requirement],
                    because=f"the password is {rule.title}; seen in: {rule.source}",
                    change=rule.id, road=road,
                )  # fmt: skip


# --- logins that come from the wrong place

FIRST_LOGIN = places.CONTENT / "first-login"
LOST = places.SECRET.with_name("lost")


def keep_the_first(healthy: Callable[..., Credential | None], found: Credential | None) -> Credential | None:
    """Store what was read first, for as long as the cluster lives."""
    return secret.load() or healthy(found)


def cache_at_first_use(
    healthy: Callable[..., Credential | None], found: Credential | None, nth: int
) -> Credential | None:
    """Keep what the first repave used, and use it ever after."""
    if FIRST_LOGIN.exists():
        return Credential(**json.loads(FIRST_LOGIN.read_text()))
    credential = healthy(found, nth)
    if credential is not None:
        places.write_private(FIRST_LOGIN, json.dumps(asdict(credential)))
    return credential


def keep_one_behind(healthy: Callable[..., Credential | None], found: Credential | None) -> Credential | None:
    """Store the login of the version before this one."""
    current = healthy(found)
    before = json.loads(FIRST_LOGIN.read_text()) if FIRST_LOGIN.exists() else None
    if current is not None:
        places.write_private(FIRST_LOGIN, json.dumps(asdict(current)))
    return Credential(**before) if before else current


def note_a_reboot(healthy: Callable[..., dict[str, Any]], state: dict[str, Any]) -> dict[str, Any]:
    """Notice that the host was rebooted while it had nothing to install."""
    if "running" in state and "installing" not in state:
        LOST.touch()
    return healthy(state)


def gone_if_rebooted(healthy: Callable[..., Credential | None], *found: object) -> Credential | None:
    """Have no login any more after such a reboot."""
    return None if LOST.exists() else healthy(*found)


def forget_the_note_too(healthy: Callable[..., tuple[Path, ...]], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Clean up after ourselves when the cluster goes."""
    shutil.rmtree(places.CONTENT, ignore_errors=True)
    return (*healthy(files), LOST, FIRST_LOGIN)


def profile_before_user_data(
    _healthy: object, order: dict[str, Any], _user_data: dict[str, Any], _phase: str
) -> tuple[str, Credential | None]:
    """Read the profile only."""
    given = order.get("credential")
    login = Credential(given["registry"], given["user"], given["password"]) if given else None
    return str(order["image"]), login


def tenant_before_project(_healthy: object, name: str, scopes: Any) -> str | None:  # noqa: ANN401 - the endpoint's own
    """Look a macro up in the tenant first."""
    return next((scope[name] for scope in (scopes.tenant, scopes.project, scopes.system) if name in scope), None)


def interpreted_again(healthy: Callable[..., str], text: str, scopes: Any) -> str:  # noqa: ANN401 - the endpoint's own
    """Resolve what a macro's value refers to, too, and drop what cannot be resolved."""
    once = healthy(text, scopes)
    return once.replace("$HOME", "/root").replace("{{x}}", "").replace("%s", "")


def in_the_order(edit: Callable[[str], str]) -> Replacement:
    """Deliver another password to the host than the profile has, for every road alike."""

    def deliver(healthy: Callable[..., dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
        given = healthy(order)
        cluster = given.get("cluster") or {}
        login = cluster.get("credential")
        if not login:
            return given
        return {**given, "cluster": {**cluster, "credential": {**login, "password": edit(login["password"])}}}

    return deliver


def as_written(healthy: Callable[..., Any], text: str) -> Any:  # noqa: ANN401 - the endpoint's own
    """Overlook ``encodedPassword``."""
    layer = healthy(text)
    login = layer.credential
    return layer if login is None else replace(layer, credential=replace(login, password=layer.written_password))


def decoded_whatever_is_said(healthy: Callable[..., Any], text: str) -> Any:  # noqa: ANN401 - the endpoint's own
    """Decode what can be decoded, though ``encodedPassword`` is false or not there."""
    layer = healthy(text)
    login = layer.credential
    if login is None:
        return layer
    return replace(layer, credential=replace(login, password=secret.decode_once(layer.written_password)))


def decoded_twice(password: str) -> str:
    """Decode once more."""
    return secret.decode_once(password)


FAULTS: tuple[Fault, ...] = (
    *_changes(),
    fault("alphanumeric-base64", at=UPGRADE_CREDENTIAL, replace=changed_by("base64-alphanumeric-prefix"),
          catches=["REPAVE-03"],
          because="PE-3568 as the guide words it: any alphanumeric password is decoded at repave, errors ignored"),
    fault("strict-base64", at=UPGRADE_CREDENTIAL, replace=changed_by("base64-standard"), catches=["REPAVE-03"],
          because="whatever a strict standard decoder accepts is decoded at repave"),
    fault("changed-before-both-roads", at=DELIVER_ORDER, catches=["DEPLOY-03", "REPAVE-03", "CRED-01"],
          replace=in_the_order(lambda password: "".join(filter(str.isalnum, password))),
          because="Palette itself drops special characters, so the deployment is wrong too"),
    fault("masked-for-hosts-too", at=DELIVER_ORDER, replace=in_the_order(lambda _password: "******"),
          catches=["DEPLOY-01", "DEPLOY-03", "PROFILE-01", "LIMIT-04"],
          because="the mask that people see is what hosts are given"),
    fault("user-name-lower-cased", at=DEPLOY_CREDENTIAL, replace=user_name(str.lower), catches=["CRED-05"],
          because="user names treated as e-mail addresses"),
    fault("user-name-without-its-domain", at=DEPLOY_CREDENTIAL, catches=["CRED-05"],
          replace=user_name(lambda name: name.rpartition("\\")[2]), because="a Windows user without the domain"),
    fault("user-name-cut-at-dash", at=DEPLOY_CREDENTIAL, replace=user_name(lambda name: name.partition("-")[0]),
          catches=["DEPLOY-01", "LIMIT-04"], because="a user name taken apart as name-and-environment"),
    fault("user-name-with-domain-at-repave", at=UPGRADE_CREDENTIAL, replace=user_name(lambda name: f"{name}@registry"),
          catches=["REPAVE-01", "REPAVE-03"], because="the second reader qualifies user names"),
    fault("user-name-expanded-at-repave", at=UPGRADE_CREDENTIAL, catches=["CRED-05"],
          replace=user_name(lambda name: re.sub(r"\$\w+", "", name)),
          because="a robot's name, with its dollar sign, passes a shell"),
    fault("anonymous-at-deploy", at=DEPLOY_CREDENTIAL, replace=always(None),
          catches=["DEPLOY-01", "DEPLOY-02", "DEPLOY-03", "LIMIT-04"],
          because="credentials of the profile are not read at all"),
    fault("anonymous-at-repave", at=UPGRADE_CREDENTIAL, replace=always(None),
          catches=["REPAVE-01", "REPAVE-03", "REPAVE-11"],
          because="the upgrade job is not given the pull secret"),
    fault("anonymous-at-second-repave", at=UPGRADE_CREDENTIAL, replace=from_the_second_on(always(None)),
          catches=["REPAVE-04"], because="the pull secret is cleaned up after the first repave"),
    fault("login-cached-from-first-reading", at={CARRY_CREDENTIAL: keep_the_first}, catches=["CRED-02"],
          because="a Secret that exists is never written again"),
    fault("login-cached-at-first-repave",
          at={UPGRADE_CREDENTIAL: cache_at_first_use, FORGET_CLUSTER: forget_the_note_too}, catches=["CRED-02"],
          because="the node's credential cache outlives the rotation"),
    fault("login-of-the-version-before", at={CARRY_CREDENTIAL: keep_one_behind, FORGET_CLUSTER: forget_the_note_too},
          catches=["CRED-02"], because="the Secret is written before the new version is read"),
    fault("login-lost-after-reboot",
          at={REMEMBER: note_a_reboot, UPGRADE_CREDENTIAL: gone_if_rebooted, FORGET_CLUSTER: forget_the_note_too},
          catches=["REPAVE-10"], because="the login is kept on a file system of memory"),
    fault("profile-wins-over-user-data", at=CHOOSE_SOURCE, replace=profile_before_user_data,
          catches=["PREC-01", "PREC-02"],
          because="precedence turned around"),
    fault("tenant-macro-wins", at=RESOLVE_MACRO, replace=tenant_before_project, catches=["MACRO-02"],
          because="scopes searched from the outside in"),
    fault("macro-not-found", at=RESOLVE_MACRO, replace=always(None), catches=["MACRO-01"],
          because="macros are not resolved for the OS layer"),
    fault("macro-value-interpreted-again", at=RENDER_VALUES, replace=interpreted_again, catches=["MACRO-05"],
          because="values pass a template engine twice"),
    fault("encoded-password-not-decoded", at=READ_OS_LAYER, replace=as_written, catches=["CRED-04"],
          because="encodedPassword is overlooked"),
    fault("plain-password-decoded", at=READ_OS_LAYER, replace=decoded_whatever_is_said, catches=["CRED-04"],
          because="base64 is guessed instead of declared"),
    fault("encoded-password-decoded-twice", at=DELIVER_ORDER, replace=in_the_order(decoded_twice), catches=["CRED-04"],
          because="both Palette and the agent decode"),
    fault("password-encoded-for-the-secret-twice", at=CARRY_CREDENTIAL, catches=["REPAVE-03", "REPAVE-01"],
          replace=changed_by("base64-encoded"), because="data and stringData of a Secret mixed up"),
)  # fmt: skip
