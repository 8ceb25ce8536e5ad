"""The events of clusters and Edge hosts."""

from __future__ import annotations

from lab.palette.errors import invalid
from lab.palette.paging import filtered, ordered, projected
from lab.palette.web import ApiCall, Json, Table

TABLE = Table()

_PATH = "/v1/events/components/{objectKind}/{objectUid}"
_KINDS = ("spectrocluster", "edgehost")


def _object(call: ApiCall) -> tuple[str, str]:
    """Return the object that the path names; its secrets are kept out of the answer. Raises ApiError 400, 404."""
    kind, uid = call.path("objectKind"), call.path("objectUid")
    store = call.context.store
    if kind == "spectrocluster":
        call.secrets |= store.cluster(uid, call.project).passwords
    elif kind == "edgehost":
        store.edge_host(uid, call.project)
        for cluster in store.clusters_of(call.project):
            if any(node.host_uid == uid for node in cluster.nodes):
                call.secrets |= cluster.passwords
    else:
        raise invalid("objectKind", f"'{kind}' is not one of {', '.join(_KINDS)}")
    return kind, uid


@TABLE.serves("GET", _PATH)
def listed(call: ApiCall) -> Json:
    """List events, newest first unless ordered otherwise.

    A ``continue`` token goes on with the list as it was at its first page, whatever happened since.
    """
    page = call.page()
    kept = call.context.events.of(*_object(call))
    until = page.until if page.until is not None else max((event.number for event in kept), default=0)
    items = [event.as_answer() for event in kept if event.number <= until]
    items = filtered(items, call.query("filters"))
    if call.query("orderBy"):
        items = ordered(items[::-1], call.query("orderBy"))
    shown, listmeta = page.of(items, until=until)
    return {"items": [projected(item, call.query("fields")) for item in shown], "listmeta": listmeta}


@TABLE.serves("DELETE", _PATH)
def cleared(call: ApiCall) -> None:
    """Forget the events of an object."""
    call.context.events.clear(*_object(call))
