"""Edge hosts and their registration tokens."""

from __future__ import annotations

import re
from typing import Any

from lab.palette import shapes
from lab.palette.agents import token_of
from lab.palette.bodies import ARCH, FLAG, META, NAME, TEXT, TEXTS, many, one_of, record
from lab.palette.errors import ApiError, conflict, invalid
from lab.palette.operations.search import matches
from lab.palette.paging import listing
from lab.palette.store import EdgeHostRecord, Meta, Token, now
from lab.palette.web import ApiCall, Created, Json, Table

TABLE = Table()

_UID = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,126}[A-Za-z0-9])?")
_NIC = record(nicName=TEXT, ip=TEXT, macAddr=TEXT, gateway=TEXT, subnet=TEXT, dns=many(TEXT), isDefault=FLAG)
_DEVICE = record(
    archType=ARCH,
    hostType=one_of("appliance", "agent-mode"),
    hostState=one_of("registration", "cluster", "recovery"),
    secureBoot=FLAG,
    nics=many(_NIC),
    os=record(family=TEXT, version=TEXT, kernel=TEXT, kernelVersion=TEXT),
)
_REGISTER = record(
    "metadata",
    metadata=record("uid", uid=NAME, name=TEXT, labels=TEXTS, annotations=TEXTS),
    spec=record(device=_DEVICE, host=record(hostAddress=TEXT, hostUid=TEXT, hostChecksum=TEXT, macAddress=TEXT)),
    status=record(health=record(agentVersion=TEXT)),
)
_TUNNEL = record(remoteSsh=one_of("enabled", "disabled"), remoteSshTempUser=one_of("enabled", "disabled"))
_CREATE = record(
    "metadata",
    metadata=record("uid", uid=NAME, name=TEXT, labels=TEXTS),
    spec=record(archType=ARCH, hostPairingKey=TEXT, tunnelConfig=_TUNNEL),
)
_SEARCH_ITEM = record(
    property=TEXT, type=one_of("string", "int", "float", "bool", "date", "keyValue"), condition={"type": "object"}
)
SEARCH = record(
    filter=record(
        conjunction=one_of("and", "or"),
        filterGroups=many(record(conjunction=one_of("and", "or"), filters=many(_SEARCH_ITEM))),
    ),
    sort=many(record(field=TEXT, order=one_of("asc", "desc"))),
)
#: What Palette 4.10 sorts Edge hosts by (its release notes, PEM-11675); any other field is refused with 422.
SORT_FIELDS = ("name", "state", "healthState", "creationTimestamp", "lastModifiedTimestamp")


def _host(call: ApiCall) -> EdgeHostRecord:
    return call.context.store.edge_host(call.path("uid"), call.project)


def _of_project(call: ApiCall) -> list[EdgeHostRecord]:
    return [host for host in call.context.store.hosts.values() if host.meta.project == call.project]


def _shape(call: ApiCall, host: EdgeHostRecord) -> Json:
    return shapes.edge_host(host, call.context)


@TABLE.serves("POST", "/v1/edgehosts/register", body=_REGISTER, public=True)
def register(call: ApiCall) -> Json:
    """Register the host that asks, also when it comes back; authenticated by its registration token.

    A host that was registered with another ``spec.host.hostChecksum`` is another machine with the same identity and
    is refused: re-installing needs the old record deleted first (docs/palette.md §7.2).
    """
    token = token_of(call.context, call.request)
    sent, spec = call.body["metadata"], call.body.get("spec", {})
    _check_uid(sent["uid"])
    host = call.context.store.hosts.get(sent["uid"])
    if host is None:
        host = EdgeHostRecord(Meta(sent["uid"], sent.get("name") or sent["uid"], token.meta.project), paired=False)
        call.context.store.hosts[host.meta.uid] = host
    elif host.paired and _is_another_machine(host, spec.get("host", {})):
        raise conflict("EdgeHostAlreadyRegistered", f"Edge host '{sent['uid']}' is registered; delete its record first")
    _pair(call, host, token)
    return _shape(call, host)


def _pair(call: ApiCall, host: EdgeHostRecord, token: Token) -> None:
    spec = call.body.get("spec", {})
    first = not host.paired
    host.paired = True
    host.meta.labels.update(call.body["metadata"].get("labels", {}))
    host.device = {"archType": "amd64", "hostType": "appliance", "hostState": "registration", **spec.get("device", {})}
    host.host = {**host.host, **spec.get("host", {})}
    host.agent_version = call.body.get("status", {}).get("health", {}).get("agentVersion", "")
    host.registered_with = token.text
    host.last_seen = now()
    if first:
        call.context.events.about_host(
            host, "Normal", "EdgeHostRegistered", f"Edge host '{host.meta.name}' is registered"
        )
    call.reconciler.settle()


def _is_another_machine(host: EdgeHostRecord, described: Json) -> bool:
    known, sent = host.host.get("hostChecksum"), described.get("hostChecksum")
    return bool(known and sent and known != sent)


def _check_uid(uid: str) -> None:
    if not _UID.fullmatch(uid):
        raise invalid("metadata.uid", f"'{uid}' is no identity; use letters, digits, '-', '_' and '.', at most 128")


@TABLE.serves("POST", "/v1/edgehosts", body=_CREATE)
def create(call: ApiCall) -> Created:
    """Make the record of a host that is to register later."""
    sent, spec = call.body["metadata"], call.body.get("spec", {})
    _check_uid(sent["uid"])
    if sent["uid"] in call.context.store.hosts:
        raise conflict("EdgeHostAlreadyExists", f"there is already an Edge host '{sent['uid']}'")
    meta = Meta(sent["uid"], sent.get("name") or sent["uid"], call.in_project(), sent.get("labels", {}))
    device = {"archType": spec["archType"]} if "archType" in spec else {}
    host = EdgeHostRecord(meta, paired=False, device=device, tunnel=spec.get("tunnelConfig", {}))
    call.context.store.hosts[meta.uid] = host
    return Created(meta.uid)


@TABLE.serves("GET", "/v1/edgehosts")
def listed(call: ApiCall) -> Json:
    """List all hosts of the project (deprecated in 4.9, unpaginated)."""
    hosts = _of_project(call)
    listmeta = {"continue": "", "count": len(hosts), "limit": len(hosts), "offset": len(hosts)}
    return {"items": [_shape(call, host) for host in hosts], "listmeta": listmeta}


@TABLE.serves("POST", "/v1/dashboard/edgehosts/search", body=SEARCH)
def search(call: ApiCall) -> Json:
    """Find hosts by state, health, name, tags and architecture."""
    known: dict[str, Any] = {host.meta.uid: _searchable(call, host) for host in _of_project(call)}
    found = [h for h in _of_project(call) if matches(known[h.meta.uid], call.body.get("filter", {}))]
    _check_sort(call.body.get("sort", []))
    for order in reversed(call.body.get("sort", [])):
        field = order.get("field", "creationTimestamp")
        found.sort(key=lambda h, f=field: str(known[h.meta.uid].get(f, "")), reverse=order.get("order") == "desc")  # type: ignore[misc]
    return listing(found, call.page(), lambda host: shapes.edge_host_metadata(host, call.context))


def _check_sort(sort: list[Json]) -> None:
    """Raise ApiError 422 for a field that Edge hosts are not sorted by."""
    for order in sort:
        if order.get("field", SORT_FIELDS[0]) not in SORT_FIELDS:
            fields = ", ".join(SORT_FIELDS)
            raise ApiError(422, "InvalidSortField", f"sort.field: '{order['field']}' is not one of {fields}")


def _searchable(call: ApiCall, host: EdgeHostRecord) -> dict[str, Any]:
    brief = shapes.edge_host_brief(host, call.context)
    meta = shapes.meta(host.meta)
    times = {key: meta[key] for key in ("creationTimestamp", "lastModifiedTimestamp")}
    return {
        **{key: brief[key] for key in ("state", "healthState", "name", "uid")},
        "architecture": brief["archType"],
        "tags": host.meta.labels,
        **times,
    }


@TABLE.serves("GET", "/v1/edgehosts/metadata")
def metadata(call: ApiCall) -> Json:
    """List hosts briefly, all or the unused ones."""
    unused = call.choice("quickFilter", ("unusedEdgeHosts", ""), default="") != ""
    hosts = [host for host in _of_project(call) if not unused or shapes.host_state(host) == "ready"]
    if call.choice("type", ("edge-native", "vsphere", ""), default="") == "vsphere":
        hosts = []
    return {"edgeHosts": [shapes.edge_host_brief(host, call.context) for host in hosts]}


@TABLE.serves("GET", "/v1/edgehosts/{uid}")
def get(call: ApiCall) -> Json:
    """Return one host."""
    return _shape(call, _host(call))


@TABLE.serves("GET", "/v1/edgehosts/{uid}/config")
def config(call: ApiCall) -> Json:
    """Return the clusters and tunnel of a host."""
    host = _host(call)
    return {"clusterUids": [host.cluster_uid] if host.cluster_uid else [], "tunnelConfig": host.tunnel}


@TABLE.serves("PUT", "/v1/edgehosts/{uid}", body=record(metadata=META))
@TABLE.serves("PUT", "/v1/edgehosts/{uid}/meta", body=record(metadata=META))
def update_meta(call: ApiCall) -> None:
    """Rename a host or replace its tags."""
    host, sent = _host(call), call.body.get("metadata", {})
    host.meta.name = sent.get("name") or host.meta.name
    host.meta.labels = dict(sent.get("labels", host.meta.labels))
    host.meta.touch()


@TABLE.serves("PATCH", "/v1/edgehosts/{uid}/tunnelConfig", body=_TUNNEL)
def update_tunnel(call: ApiCall) -> None:
    """Allow or forbid remote shells."""
    _host(call).tunnel.update(call.body)


@TABLE.serves("PUT", "/v1/edgehosts/{uid}/reset")
def reset(call: ApiCall) -> None:
    """Reset a host to the state after registration."""
    host = _host(call)
    if not host.paired:
        raise ApiError(400, "EdgeHostDeviceNotRegistered", f"Edge host '{host.meta.uid}' has not registered yet")
    call.reconciler.reset(host)


@TABLE.serves("DELETE", "/v1/edgehosts/{uid}")
def delete(call: ApiCall) -> None:
    """Delete the record of a host that is in no cluster."""
    host = _host(call)
    if host.cluster_uid:
        cluster = call.context.store.clusters[host.cluster_uid]
        raise conflict("EdgeHostInUse", f"Edge host '{host.meta.uid}' is in use by cluster '{cluster.meta.name}'")
    del call.context.store.hosts[host.meta.uid]
