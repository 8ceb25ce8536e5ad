"""Files of a cluster: its log bundle, and the cluster itself.

The bundle holds what the endpoint knows: the cluster and its events, secrets masked. A real bundle holds files of the
hosts too, with secrets in clear, and takes about five minutes (docs/palette.md §7.1).
"""

from __future__ import annotations

import io
import json
import zipfile

from lab.palette import shapes, shapes_clusters
from lab.palette.bodies import WHOLE, one_of, record
from lab.palette.errors import not_found
from lab.palette.operations.clusters import find, note_secrets
from lab.palette.store import ClusterRecord, new_uid
from lab.palette.web import ApiCall, Created, File, Json, Table

TABLE = Table()

_REQUESTS = "/v1/spectroclusters/{uid}/features/logFetcher"
_REQUEST = record(duration=WHOLE, noOfLines=WHOLE, mode=one_of("cluster", "app"))


@TABLE.serves("POST", _REQUESTS, body=_REQUEST)
def request(call: ApiCall) -> Created:
    """Ask for a bundle."""
    cluster = find(call)
    cluster.log_requests.append(new_uid())
    return Created(cluster.log_requests[-1])


@TABLE.serves("GET", _REQUESTS)
def state(call: ApiCall) -> Json:
    """Return how far a bundle is: the one of ``requestId``, or the latest."""
    cluster = find(call)
    uid = call.query("requestId") or next(reversed(cluster.log_requests), "")
    if uid not in cluster.log_requests:
        raise not_found("log request", uid)
    meta = {**shapes.meta(cluster.meta), "uid": uid}
    return {"metadata": meta, "spec": {"clusterUid": cluster.meta.uid}, "status": {"state": "Completed"}}


@TABLE.serves("GET", "/v1/spectroclusters/features/logFetcher/{uid}/download")
def download(call: ApiCall) -> File:
    """Return a bundle."""
    uid = call.path("uid")
    cluster = next((c for c in call.context.store.clusters_of(call.project) if uid in c.log_requests), None)
    if cluster is None:
        raise not_found("log request", uid)
    note_secrets(call, cluster)
    events = [event.as_answer() for event in call.context.events.of("spectrocluster", cluster.meta.uid)]
    return _archive(call, call.query("fileName", "logs.zip"), {**_cluster(call, cluster), "events.json": events})


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/download")
def download_cluster(call: ApiCall) -> File:
    """Return a cluster as an archive."""
    cluster = find(call)
    return _archive(call, f"{cluster.meta.name}.zip", _cluster(call, cluster))


def _cluster(call: ApiCall, cluster: ClusterRecord) -> Json:
    return {"cluster.json": shapes_clusters.cluster(call.context, cluster)}


def _archive(call: ApiCall, name: str, files: Json) -> File:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, json.dumps(call.masked(content), indent=2, ensure_ascii=False))
    return File(name, buffer.getvalue())
