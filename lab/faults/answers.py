"""Faults of what the Palette endpoint answers and of its events' fields, and of where a login may follow a redirect."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.agent import secret
from lab.agent.puller import PullFailed
from lab.faults import fault
from lab.faults.api import called_free, in_answers, kept
from lab.injection import ANSWER, EMIT_EVENT, FOLLOW_REDIRECT, REQUEST_HEADERS, SCOPE_LOGIN, Fault
from registry.transforms.base import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.agent.secret import Credential
    from lab.faults.replacing import Replacement

Json = dict[str, Any]

# --- fields of answers that clients read: missing, of another type, of another value

CLUSTER, PROFILE, HOST = "GET /v1/spectroclusters/{uid}", "GET /v1/clusterprofiles/{uid}", "GET /v1/edgehosts/{uid}"
OVERVIEW = "GET /v1/dashboard/spectroclusters/{uid}/overview"
EVENTS = "GET /v1/events/components/{objectKind}/{objectUid}"


def at_path(path: str, change: Callable[[Json, str], object]) -> Callable[[Json], object]:
    """Change what stands at a dotted path of an answer, if it is there; a number is an index of a list."""

    def edit(answer: Json) -> None:
        found: Any = answer
        *way, last = path.split(".")
        for step in way:
            found = (found[0] if found else {}) if step == "0" else found.get(step) or {}
        if last in found:
            change(found, last)

    return edit


def dropped(found: Json, key: str) -> None:
    """Drop a field."""
    del found[key]


def as_a_list(found: Json, key: str) -> None:
    """Answer a list where a value belongs."""
    found[key] = [found[key]]


def as_null(found: Json, key: str) -> None:
    """Answer null."""
    found[key] = None


FIELDS = (
    ("cluster-state", CLUSTER, "status.state"),
    ("cluster-name", CLUSTER, "metadata.name"),
    ("cloud-config", CLUSTER, "spec.cloudConfigRef"),
    ("profile-version", PROFILE, "spec.version"),
    ("host-state", HOST, "status.state"),
    ("host-health", HOST, "status.health"),
    ("event-message", EVENTS, "items.0.message"),
    ("event-severity", EVENTS, "items.0.severity"),
    ("event-time", EVENTS, "items.0.metadata.creationTimestamp"),
)
CHANGES: dict[str, Callable[[Json, str], object]] = {"missing": dropped, "a-list": as_a_list, "null": as_null}


def _fields() -> Iterator[Fault]:
    for number, (name, operation, path) in enumerate(FIELDS):
        for kind in list(CHANGES)[: 2 + number % 2]:
            yield fault(
                f"{name}-{kind}", at=ANSWER, replace=in_answers(operation, at_path(path, CHANGES[kind])),
                catches=["API-01"], because="the published description and the answers have grown apart",
            )  # fmt: skip


# --- the event of a failure

EVENT_FIELDS: dict[str, Json] = {
    "about-another-kind": {"kind": "edgehost"},
    "about-another-object": {"object_uid": "000000000000000000000000"},
    "about-nothing": {"object_uid": "", "object_name": ""},
    "of-no-component": {"component": ""},
    "of-another-host": {"host": "edge-9"},
    "without-a-reason": {"reason": ""},
    "of-long-ago": {"time": datetime(2001, 1, 1, tzinfo=UTC)},
}
GOOD: dict[str, Callable[[Any], Any]] = {
    "from-the-future": lambda event: replace(event, time=event.time + timedelta(hours=1)),
    "of-another-host": lambda event: replace(event, host="edge-9") if event.host else event,
    "named-after-another-cluster": lambda event: replace(event, object_name="another-cluster"),
    "called-errors": lambda event: replace(event, severity="Error"),
}


def _events() -> Iterator[Fault]:
    for name, fields in EVENT_FIELDS.items():
        yield fault(
            f"failure-{name}", at=EMIT_EVENT, catches=["EVENT-02"],
            replace=kept(partial(lambda fields, event: replace(event, **fields), fields)),
            because="events are passed on by a component that does not know what they are about",
        )  # fmt: skip


def _good_events() -> Iterator[Fault]:
    for name, edit in GOOD.items():

        def edited(healthy: Callable[..., Any], event: Any, cluster: Any, edit: Callable[[Any], Any] = edit) -> Any:  # noqa: ANN401
            given = healthy(event, cluster)
            return edit(given) if given is not None and given.severity == "Normal" else given

        yield fault(
            f"good-events-{name}", at=EMIT_EVENT, replace=edited, catches=["EVENT-01"],
            because="events are passed on by a component that does not know what they are about",
        )  # fmt: skip


def worker_called_free(host: Json) -> None:
    """Answer the second host of a cluster as if no cluster used it."""
    if str(host["metadata"]["uid"]).endswith("2"):
        called_free(host)


# --- logins that follow a redirect or a challenge


def with_login(healthy: Callable[..., Json], url: str, headers: Json, credential: Credential) -> Json:
    """Send the login with the first question, asked for or not."""
    pair = base64.b64encode(bytes_of(f"{credential.username}:{credential.password}")).decode()
    return {**healthy(url, headers, credential), "Authorization": f"Basic {pair}"}


def followed(goes: Callable[[Any, Any], bool]) -> Replacement:
    """Follow a redirect to such a place, with the same headers."""

    def follow(healthy: Callable[..., str | None], url: str, location: str) -> str | None:
        return location if goes(urlsplit(url), urlsplit(location)) else healthy(url, location)

    return follow


def realm_trusted(trusts: Callable[[str], bool]) -> Replacement:
    """Take a token realm elsewhere for one that may have the login, in some cases."""

    def scope(healthy: Callable[..., Any], image: str, credential: Credential | None, authority: Any) -> Any:  # noqa: ANN401
        try:
            return healthy(image, credential, authority)
        except PullFailed as error:
            if trusts(str(error)):
                return credential
            raise

    return scope


def with_the_login_in_its_path(_healthy: object, _url: str, location: str) -> str:
    """Follow a redirect with the login written behind it."""
    login = secret.load()
    told = base64.urlsafe_b64encode(bytes_of(login.password)).decode() if login else ""
    return f"{location.rstrip('/')}/{told}"


def in_another_header(healthy: Callable[..., Json], url: str, headers: Json, credential: Credential) -> Json:
    """Show the login in a header that proxies log."""
    return {**healthy(url, headers, credential), "X-Debug": bytes_of(credential.password).hex()}


REDIRECTS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "anywhere": ("SAFE-01", lambda _from, _to: True),
    "to-other-hosts": ("SAFE-01", lambda here, there: here.hostname != there.hostname and there.scheme == "https"),
    "to-other-ports": ("SAFE-01", lambda here, there: here.hostname == there.hostname),
    "to-plain-http": ("SAFE-02", lambda _here, there: there.scheme == "http"),
}


def _redirects() -> Iterator[Fault]:
    for name, (requirement, goes) in REDIRECTS.items():
        yield fault(
            f"login-follows-redirects-{name}", at={REQUEST_HEADERS: with_login, FOLLOW_REDIRECT: followed(goes)},
            catches=[requirement], because="a client that sends all headers along wherever it is sent",
        )  # fmt: skip


FAULTS: tuple[Fault, ...] = (
    *_fields(),
    *_events(),
    *_good_events(),
    fault("overview-of-another-cluster", at=ANSWER, catches=["API-01"], because="a cache whose key is too short",
          replace=in_answers(OVERVIEW, lambda answer: answer["metadata"].update(uid="0" * 24))),
    fault("worker-called-free", at=ANSWER, replace=in_answers(HOST, worker_called_free), catches=["HOST-01"],
          because="a cluster is known by its control plane"),
    fault("login-in-the-path-of-a-redirect", at=FOLLOW_REDIRECT, replace=with_the_login_in_its_path,
          catches=["SAFE-01"], because="a gateway that signs URLs with what it has"),
    fault("login-in-another-header", at=REQUEST_HEADERS, replace=in_another_header, catches=["REPAVE-10"],
          because="tracing that was left on"),
    *_redirects(),
    fault("realm-of-another-host-trusted", at=SCOPE_LOGIN, catches=["SAFE-01"],
          replace=realm_trusted(lambda why: "from https://" in why),
          because="TLS is taken for trust"),
    fault("realm-without-tls-trusted", at=SCOPE_LOGIN, catches=["SAFE-02"],
          replace=realm_trusted(lambda why: "from http://" in why),
          because="a realm named by the registry itself is taken for the registry"),
)  # fmt: skip
