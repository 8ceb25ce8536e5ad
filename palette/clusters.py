"""Edge clusters: create, watch, move to another profile version, repave, delete."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from palette.cloud_configs import CloudConfigs
from palette.cluster_facts import (
    GONE,
    RUNNING,
    ClusterFacts,
    Overview,
    Repave,
    RepaveForecast,
    read_cluster,
    read_forecast,
    read_overview,
    read_profile_template,
    read_repave,
)
from palette.cluster_request import AttachedProfile, ClusterRequest
from palette.edge_hosts import RegisteredHost, read_device
from palette.errors import NotFoundError
from palette.once import do_once, made_after
from palette.paging import every
from palette.reading import at, items, text, texts
from palette.searching import Filter
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from datetime import datetime

    from palette.waiting import Wait
    from protected import Secret

Abort = Callable[[Overview], str | None]
Kubeconfig = Literal["kubeconfig", "adminKubeconfig", "kubeconfigclient"]

PENDING = "Pending"
APPROVED = "Approved"
_DELETING = ("Deleting", GONE)


@dataclass(frozen=True)
class ClusterName:
    """Uid, name and state of a cluster, as lists give them."""

    uid: str
    name: str
    state: str


@dataclass(frozen=True)
class Clusters:
    """The Edge clusters of a project."""

    scope: Scope
    wait: Wait

    def create(self, request: ClusterRequest) -> str:
        """Ask for a cluster and give its uid; it is not made yet, see :meth:`wait_until_running`."""
        asked = self.scope.transport.palette_time()
        call = Call("POST", "/v1/spectroclusters/edge-native", body=request.body())
        return do_once(self.scope, lambda: self.scope.make(call), lambda: self._made(request.name, asked))

    def get(self, uid: str) -> ClusterFacts:
        """Read a cluster. Raises NotFoundError."""
        return read_cluster(self.scope.ask(Call("GET", at("/v1/spectroclusters/{uid}", uid=uid))))

    def state(self, uid: str) -> str:
        """Return the cluster's state, the cheapest thing to ask. Raises NotFoundError."""
        return text(self.scope.ask(Call("GET", at("/v1/spectroclusters/{uid}/status", uid=uid))), "status", "state")

    def state_or_gone(self, uid: str) -> str:
        """Return the cluster's state; that of one that Palette does not know any more is ``Deleted``."""
        try:
            return self.state(uid)
        except NotFoundError:
            return GONE

    def overview(self, uid: str) -> Overview:
        """Read state and health. Raises NotFoundError."""
        path = at("/v1/dashboard/spectroclusters/{uid}/overview", uid=uid)
        return read_overview(self.scope.ask(Call("GET", path)))

    def search(self, *filters: Filter) -> Iterator[ClusterName]:
        """Yield the clusters of the project that pass every filter."""
        call = Call("POST", "/v1/dashboard/spectroclusters/search", body=Filter.all(filters), repeatable=True)
        yield from map(_name, every(self.scope, call))

    def find(self, name: str) -> ClusterName | None:
        """Return the cluster of that name that is not deleted, or None."""
        named = (found for found in self.search(Filter("clusterName", (name,))) if found.name == name)
        return next((found for found in named if found.state != GONE), None)

    def endpoints(self) -> frozenset[str]:
        """Return the control-plane endpoints of the project's clusters that are not deleted."""
        return frozenset(map(self.endpoint, [found.uid for found in self.search() if found.state != GONE])) - {""}

    def endpoint(self, uid: str) -> str:
        """Return the control-plane endpoint of a cluster, empty where it has none yet. Raises NotFoundError."""
        config = self.get(uid).cloud_config_uid
        return CloudConfigs(self.scope).get(config).endpoint if config else ""

    def replace_profile(
        self, uid: str, *, old: str, new: str, variables: Mapping[str, str | Secret] | None = None
    ) -> None:
        """Move a cluster from the attached profile version ``old`` to ``new`` (PATCH with ``replaceWithProfile``).

        Without ``old`` Palette would attach a second copy.
        """
        body = {
            "profiles": [AttachedProfile(new, replaces=old, variables=variables or {}).body()],
            "spcApplySettings": {"actionType": "DownloadAndInstall"},
        }
        path = at("/v1/spectroclusters/{uid}/profiles", uid=uid)
        call = Call("PATCH", path, {"resolveNotification": True}, body)
        do_once(self.scope, lambda: self.scope.send(call), lambda: new in self._attached(uid) or None)

    def profiles(self, uid: str) -> tuple[str, ...]:
        """Return the uids of the attached profile versions."""
        answer = self.scope.ask(Call("GET", at("/v1/spectroclusters/{uid}/profiles", uid=uid)))
        return tuple(text(item, "metadata", "uid") for item in items(answer, "profiles"))

    def profile_updates(self, uid: str) -> tuple[str, ...]:
        """Return the names of attached profiles for which an update waits."""
        answer = self.scope.ask(Call("GET", at("/v1/spectroclusters/{uid}/profileUpdates", uid=uid)))
        return tuple(read_profile_template(item).name for item in items(answer, "profiles"))

    def pack_values(self, uid: str, profile: str, pack: str) -> str:
        """Read the values of a pack as the cluster has them; masked where Palette masks."""
        path = "/v1/spectroclusters/{uid}/profiles/{profileUid}/packs/{packName}/config"
        answer = self.scope.ask(Call("GET", at(path, uid=uid, profileUid=profile, packName=pack)))
        return next((text(item, "spec", "values") for item in items(answer, "items")), "")

    def resolved_values(self, uid: str, references: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        """Ask what references stand for in each attached profile (a GET with a body); keys are profile uids."""
        path = at("/v1/spectroclusters/{uid}/packs/resolvedValues", uid=uid)
        answer = self.scope.ask(Call("GET", path, body={"references": list(references)}))
        return {text(item, "uid"): texts(item, "resolved") for item in items(answer, "profiles")}

    def variables(self, uid: str) -> Mapping[str, Mapping[str, str]]:
        """Read the values of profile variables, by profile uid and name; sensitive ones come masked."""
        call = Call("GET", at("/v1/spectroclusters/{uid}/variables", uid=uid))
        listed = self.scope.send(call).json(call.method, call.path)
        return {
            text(entry, "profileUid"): {text(one, "name"): text(one, "value") for one in items(entry, "variables")}
            for entry in (listed if isinstance(listed, list) else [])
        }

    def would_repave(self, uid: str, profiles: Iterable[AttachedProfile]) -> RepaveForecast:
        """Ask whether a change of profiles would repave the cluster, and why; changes nothing."""
        body = {"profiles": [profile.body() for profile in profiles]}
        path = at("/v1/spectroclusters/{uid}/validate/repave", uid=uid)
        return read_forecast(self.scope.ask(Call("POST", path, body=body, repeatable=True)))

    def repave(self, uid: str) -> Repave:
        """Read the repave that Palette has planned. Raises NotFoundError when there is none."""
        return read_repave(self.scope.ask(Call("GET", at("/v1/spectroclusters/{uid}/repave/status", uid=uid))))

    def approve_repave(self, uid: str) -> None:
        """Approve the planned repave."""
        call = Call("PATCH", at("/v1/spectroclusters/{uid}/repave/approve", uid=uid))
        do_once(self.scope, lambda: self.scope.send(call), lambda: self._repave_state(uid) == APPROVED or None)

    def delete(self, uid: str, *, force: bool = False) -> None:
        """Delete a cluster; it is gone later, see :meth:`wait_until_gone`. Palette allows force after 15 minutes."""
        self.scope.send(Call("DELETE", at("/v1/spectroclusters/{uid}", uid=uid), {"forceDelete": force}))

    def hosts(self, uid: str) -> tuple[RegisteredHost, ...]:
        """Return the Edge hosts of a cluster."""
        answer = self.scope.ask(Call("GET", at("/v1/spectroclusters/{uid}/edge-native/edgeHosts", uid=uid)))
        return tuple(read_device(item) for item in items(answer, "items"))

    def kubeconfig(self, uid: str, *, kind: Kubeconfig = "kubeconfig") -> bytes:
        """Download a kubeconfig, which is a credential. Raises NotFoundError while there is none."""
        query = {"frp": True} if kind == "kubeconfig" else {}
        path = at("/v1/spectroclusters/{uid}/assets/{kind}", uid=uid, kind=kind)
        return _unwrapped(self.scope.send(Call("GET", path, query)).content)

    def download(self, uid: str) -> bytes:
        """Download the cluster's own definition."""
        return self.scope.send(Call("GET", at("/v1/spectroclusters/{uid}/download", uid=uid))).content

    def wait_until_running(self, uid: str, *, within: float | None = None, abort: Abort | None = None) -> Overview:
        """Wait until a cluster is Running and healthy.

        ``abort`` may give a reason to stop early, such as an event that will not heal. A cluster on its way out
        stops the wait as well. Raises WaitTimeoutError, WaitAbortedError, NotFoundError.
        """
        return self.wait.until(
            f"cluster {uid} to be {RUNNING} and healthy",
            lambda: self.overview(uid),
            lambda seen: seen.is_ready,
            within=self.wait.timeouts.cluster_running if within is None else within,
            abort=lambda seen: _leaving(seen) or (abort(seen) if abort else None),
        )

    def wait_for_repave(self, uid: str) -> Repave:
        """Wait until Palette has planned a repave, pending or already approved. Raises WaitTimeoutError."""
        seen = self.wait.until(
            f"a repave of cluster {uid} to be planned",
            lambda: self._repave_or_none(uid),
            lambda found: found is not None and found.state in (PENDING, APPROVED),
            within=self.wait.timeouts.repave_pending,
            state=lambda found: (found.state or "no state yet") if found else "none",
        )
        return seen or self.repave(uid)

    def wait_until_gone(self, uid: str, *, within: float | None = None) -> None:
        """Wait until a deleted cluster is gone; Palette lists it as Deleted for three days. Raises WaitTimeoutError."""
        self.wait.until(
            f"cluster {uid} to be gone",
            lambda: self.state_or_gone(uid),
            lambda state: state == GONE,
            within=self.wait.timeouts.cluster_deleted if within is None else within,
        )

    def _made(self, name: str, asked: datetime | None) -> str | None:
        found = self.find(name)
        return found.uid if found and made_after(self.get(found.uid).created, asked) else None

    def _attached(self, uid: str) -> tuple[str, ...]:
        return tuple(profile.uid for profile in self.get(uid).profiles)

    def _repave_or_none(self, uid: str) -> Repave | None:
        try:
            return self.repave(uid)
        except NotFoundError:
            return None

    def _repave_state(self, uid: str) -> str:
        found = self._repave_or_none(uid)
        return found.state if found else ""


def _leaving(seen: Overview) -> str | None:
    return f"the cluster is {seen.state}" if seen.state in _DELETING else None


def _name(item: Mapping[str, Any]) -> ClusterName:
    return ClusterName(text(item, "metadata", "uid"), text(item, "metadata", "name"), text(item, "status", "state"))


def _unwrapped(content: bytes) -> bytes:
    """Undo the base64 in which some versions wrap a kubeconfig (a kubeconfig itself is never valid base64)."""
    try:
        return base64.b64decode(content.strip(), validate=True) or content
    except binascii.Error:
        return content
