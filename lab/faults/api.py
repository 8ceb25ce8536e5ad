"""Faults of the Palette endpoint: profiles, what is read of them, what is answered and told."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from lab.faults import fault
from lab.faults.replacing import always, beforehand, nothing, the_first
from lab.injection import (
    ANSWER,
    CHECK_VERSION,
    EDIT_PROFILE,
    EMIT_EVENT,
    ENDPOINT_OWNER,
    MASK_ANSWER,
    PUBLISH,
    READ_OS_LAYER,
    RENDER_VALUES,
    RESOLVE_MACRO,
    Fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.faults.replacing import Replacement

Json = dict[str, Any]

# --- profiles

PROFILE = "GET /v1/clusterprofiles/{uid}"


def in_answers(operation: str, edit: Callable[[Json], object]) -> Replacement:
    """Change, in a copy, what one operation answers."""

    def answer(healthy: Callable[..., Any], asked: str, said: Any) -> Any:  # noqa: ANN401 - any answer
        given = healthy(asked, said)
        if asked == operation and isinstance(given, dict):
            given = copy.deepcopy(given)
            edit(given)
        return given

    return answer


def layers_of(profile: Json) -> list[Json]:
    """Return the layers of a profile as it was answered."""
    spec = profile["spec"]
    packs: list[Json] = (spec.get("published") or spec.get("draft"))["packs"]
    return packs


def called_free(host: Json) -> None:
    """Answer a host as if no cluster used it."""
    host["status"].update(state="ready", inUseClusters=[], inUseClustersRef=[])


def stock_system(profile: Json) -> None:
    """Answer a stock operating system for the one brought along."""
    layers_of(profile)[0]["name"] = "edge-native-ubuntu"


def every_version_alike(_healthy: object, store: Any, profile: Any) -> None:  # noqa: ANN401 - the endpoint's own
    """Apply an edit to every version of the profile."""
    for other in store.profiles.values():
        if other.meta.name == profile.meta.name and other is not profile:
            other.draft, other.published = profile.draft, profile.published


def of_the_version_before(edit: Callable[[Any, Any], Any]) -> Replacement:
    """Change the layers of a new version of a profile; ``edit`` gets them and those of another of its versions."""

    def changed(_healthy: object, store: Any, profile: Any) -> None:  # noqa: ANN401 - the endpoint's own
        others = (each for each in store.profiles.values() if each.meta.name == profile.meta.name)
        if other := next((each for each in others if each is not profile), None):
            made = edit(profile.shown, other.shown)
            profile.draft, profile.published = (made, None) if profile.draft else (None, made)

    return changed


def without_stages(layers: Any, _before: Any) -> Any:  # noqa: ANN401 - the endpoint's own
    """Return layers whose values have no stages any more."""
    lost = re.compile(r"(?m)^stages:.*\n(?:(?:[ #-].*)?\n)*")
    return replace(layers, packs=tuple(replace(pack, values=lost.sub("", pack.values)) for pack in layers.packs))


def packs_unresolved(healthy: Callable[..., str], text: str, scopes: Any) -> str:  # noqa: ANN401 - the endpoint's own
    """Leave references to other packs as they are."""
    hidden = text.replace("{{.spectro.pack", "{{ spectro-pack")
    return healthy(hidden, scopes).replace("{{ spectro-pack", "{{.spectro.pack")


# --- the OS layer


def lifted_to_the_root(text: str) -> str:
    """Find providerCredentials one level down, too."""
    read = yaml.safe_load(text)
    for section in [each for each in read.values() if isinstance(each, dict)]:
        if "providerCredentials" in section:
            read.setdefault("providerCredentials", section["providerCredentials"])
    return yaml.safe_dump(read)


def first_of_a_list(text: str) -> str:
    """Read a list of credentials as its first item."""
    read = yaml.safe_load(text)
    if isinstance(read.get("providerCredentials"), list):
        read["providerCredentials"] = read["providerCredentials"][0]
    return yaml.safe_dump(read)


def with_key(old: str, new: str) -> Callable[[str], str]:
    """Read another spelling of a key only."""
    pattern = re.compile(rf"(?m)^( +){old}:")
    return lambda text: pattern.sub(rf"\1{new}:", text)


def read_raw(text: str) -> str:
    """Read the password's line without understanding its quotes."""
    return re.sub(r"(?m)^( +password:) *([\"'].*[\"'])$", lambda m: f"{m[1]} {m[2][0] * 2}{m[2]}", text)


def read_line_by_line(healthy: Callable[..., Any], text: str) -> Any:  # noqa: ANN401 - the endpoint's own
    """Take the password to be what stands on its line, without outer quotes and nothing else of YAML."""
    layer = healthy(text)
    line = re.search(r"(?m)^ +password: *(.*)$", text)
    if layer.credential is None or line is None:
        return layer
    return replace(layer, credential=replace(layer.credential, password=line[1].strip("'\"")))


def without_certificates(healthy: Callable[..., Any], text: str) -> Any:  # noqa: ANN401 - the endpoint's own
    """Read user and password only."""
    layer = healthy(text)
    login = layer.credential
    return layer if login is None else replace(layer, credential=replace(login, certificates=""))


def without_path(healthy: Callable[..., Any], text: str) -> Any:  # noqa: ANN401 - the endpoint's own
    """Take a registry's path for a mistake and its login with it."""
    layer = healthy(text)
    login = layer.credential
    return replace(layer, credential=None) if login and "/" in login.registry else layer


def missing_macro_is_empty(healthy: Callable[..., str | None], name: str, scopes: Any) -> str:  # noqa: ANN401 - scopes
    """Put nothing where a macro is missing."""
    return healthy(name, scopes) or ""


class Remembered:
    """Macros as they were when they were first asked for."""

    def __init__(self) -> None:
        self._values: dict[str, str | None] = {}

    def __call__(self, healthy: Callable[..., str | None], name: str, scopes: Any) -> str | None:  # noqa: ANN401
        """Return the first value for ever."""
        if self._values.get(name) is None:
            self._values[name] = healthy(name, scopes)
        return self._values[name]


# --- events


def kept(edit: Callable[[Any], Any]) -> Replacement:
    """Change an event that reports something wrong; None drops it."""

    def keep(healthy: Callable[..., Any], event: Any, cluster: Any) -> Any:  # noqa: ANN401 - the endpoint's own
        given = healthy(event, cluster)
        return edit(given) if given is not None and given.severity == "Error" else given

    return keep


def registry_unnamed(healthy: Callable[..., Any], event: Any, cluster: Any) -> Any:  # noqa: ANN401 - the endpoint's own
    """Report a pull, and not from where."""
    given = healthy(event, cluster)
    message = re.sub(r"\S*:\d+(/\S*)?", "an image", re.sub(r" from private registry \S+", "", given.message))
    return given if given.severity == "Error" else replace(given, message=message)


def secrets_shown_in_files(healthy: Callable[..., Any], answer: Any, secrets: frozenset[str]) -> Any:  # noqa: ANN401
    """Mask what is shown, and not what is exported."""
    exported = isinstance(answer, dict) and set(answer) == {"metadata", "spec"}
    return answer if exported and "template" in answer["spec"] else healthy(answer, secrets)


FAULTS: tuple[Fault, ...] = (
    fault("old-version-changes-with-the-new", at=EDIT_PROFILE, replace=every_version_alike, catches=["PROFILE-02"],
          because="versions share their layers"),
    fault("cloned-values-ignored", at=EDIT_PROFILE, catches=["PROFILE-02"],
          replace=of_the_version_before(lambda _layers, before: before),
          because="a clone goes on using the values of what it was cloned from"),
    fault("a-clone-loses-stages", at=EDIT_PROFILE, replace=of_the_version_before(without_stages),
          catches=["PROFILE-02"], because="values are read into a structure that knows the pack's own keys only"),
    fault("layers-out-of-order", at=ANSWER, replace=in_answers(PROFILE, lambda p: layers_of(p).reverse()),
          catches=["PROFILE-03"], because="layers are kept in a set"),
    fault("os-layer-replaced-by-a-stock-one", at=ANSWER, replace=in_answers(PROFILE, stock_system),
          catches=["PROFILE-04"], because="an operating system is brought along and not used"),
    fault("pack-macro-not-resolved", at=RENDER_VALUES, replace=packs_unresolved, catches=["PROFILE-06"],
          because="references to a pack's own values are left to somebody else"),
    fault("draft-called-published", at=ANSWER, catches=["PROFILE-09"],
          replace=in_answers(PROFILE, lambda p: p["status"].update(isPublished=True)),
          because="saving is taken for publishing"),
    fault("publishing-does-nothing", at=PUBLISH, replace=nothing, catches=["PROFILE-09"],
          because="a version stays a draft for ever"),
    fault("any-version-accepted", at=CHECK_VERSION, replace=nothing, catches=["PROFILE-10"],
          because="versions are labels"),
    fault("endpoint-of-another-cluster-accepted", at=ENDPOINT_OWNER, replace=always(""), catches=["DEPLOY-05"],
          because="endpoints are looked at within the request only"),
    fault("host-in-use-called-free", at=ANSWER, catches=["HOST-01"],
          replace=in_answers("GET /v1/edgehosts/{uid}", called_free),
          because="use is noted when a cluster is Running for the first time"),
    fault("credentials-honoured-anywhere", at=READ_OS_LAYER, replace=beforehand(lifted_to_the_root),
          catches=["PROFILE-07"], because="keys are searched for instead of read"),
    fault("key-user-not-read", at=READ_OS_LAYER, replace=beforehand(with_key("user", "unknown")),
          catches=["PROFILE-12", "DEPLOY-01"], because="the pack's own page calls it username"),
    fault("certificates-not-read", at=READ_OS_LAYER, replace=without_certificates,
          catches=["LIMIT-02", "PROFILE-12"], because="the pack's own page calls it certificate"),
    fault("credentials-not-read", at=READ_OS_LAYER, catches=["PROFILE-01", "DEPLOY-01", "PROFILE-13"],
          replace=beforehand(lambda text: text.replace("providerCredentials:", "x:")),
          because="the agent is older than the feature"),
    fault("password-read-line-by-line", at=READ_OS_LAYER, replace=read_line_by_line, catches=["PROFILE-11", "CRED-01"],
          because="a regular expression instead of a YAML reader"),
    fault("quotes-taken-for-the-password", at=READ_OS_LAYER, replace=beforehand(read_raw),
          catches=["PROFILE-11", "CRED-01"],
          because="values are quoted once more on the way into the cluster's configuration"),
    fault("first-credentials-of-a-list", at=READ_OS_LAYER, replace=beforehand(first_of_a_list), catches=["PROFILE-14"],
          because="a lenient reader takes of several what it needs"),
    fault("registry-with-a-path-not-known", at=READ_OS_LAYER, replace=without_path, catches=["PROFILE-15"],
          because="a registry is a host name"),
    fault("missing-macro-is-empty", at=RESOLVE_MACRO, replace=missing_macro_is_empty, catches=["MACRO-04"],
          because="a template engine's default"),
    fault("macros-not-listed", at=ANSWER, catches=["MASK-02"],
          replace=in_answers("GET /v1/projects/{uid}/macros", lambda said: said.update(macros=[])),
          because="values that may be secret are kept to themselves, names and all"),
    fault("macro-read-once", at=RESOLVE_MACRO, replace=Remembered(), catches=["MACRO-03"],
          because="macros are resolved when the profile is published"),
    fault("answers-not-masked", at=MASK_ANSWER, replace=the_first, catches=["PROFILE-08", "MASK-01"],
          because="masking is the user interface's"),
    fault("export-not-masked", at=MASK_ANSWER, replace=secrets_shown_in_files, catches=["PROFILE-08", "MASK-01"],
          because="an export is meant to be imported again"),
    fault("failure-without-an-event", at=EMIT_EVENT, replace=kept(lambda _event: None), catches=["EVENT-02"],
          because="errors stay in the agent's log"),
    fault("failure-for-a-made-up-reason", at=EMIT_EVENT, catches=["EVENT-02", "LIMIT-05"],
          replace=kept(lambda e: replace(e, reason="FailedInternal", message="something went wrong, retrying")),
          because="errors are wrapped until nothing of them is left"),
    fault("missing-image-called-unauthorized", at=EMIT_EVENT, catches=["EVENT-02", "REG-02"],
          replace=kept(lambda e: replace(e, message=re.sub("manifest unknown|not found", "unauthorized", e.message))),
          because="registries answer so to clients that they do not know"),
    fault("failure-called-normal", at=EMIT_EVENT, catches=["EVENT-02"],
          replace=kept(lambda e: replace(e, severity="Normal", reason="Retrying")),
          because="it will be retried anyway"),
    fault("registry-not-named", at=EMIT_EVENT, replace=registry_unnamed, catches=["EVENT-01"],
          because="addresses are thought to be confidential"),
    fault("nothing-told", at=EMIT_EVENT, replace=always(None), catches=["EVENT-01", "EVENT-02", "EVENT-03"],
          because="the event service is down and nobody notices"),
)  # fmt: skip
