"""The log bundle of a cluster, which Palette collects on request (about five minutes on real hosts)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from palette.reading import at, text
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Logs:
    """Requests for log bundles. A bundle holds files with secrets in clear: treat it as a secret."""

    scope: Scope

    def request(self, cluster: str, *, minutes: int = 10, lines: int = 1000, node_logs: Sequence[str] = ()) -> str:
        """Ask for a bundle and give the uid of the request. A second bundle after a lost answer does no harm."""
        body = {"duration": minutes, "noOfLines": lines, "mode": "cluster", "node": {"logs": list(node_logs)}}
        path = at("/v1/spectroclusters/{uid}/features/logFetcher", uid=cluster)
        return self.scope.make(Call("POST", path, body=body, repeatable=True))

    def state(self, cluster: str, request: str) -> str:
        """Return the state of a request, a free text."""
        path = at("/v1/spectroclusters/{uid}/features/logFetcher", uid=cluster)
        return text(self.scope.ask(Call("GET", path, {"requestId": request})), "status", "state")

    def download(self, request: str, *, file_name: str = "logs.zip") -> bytes:
        """Download a bundle (zip)."""
        path = at("/v1/spectroclusters/features/logFetcher/{uid}/download", uid=request)
        return self.scope.send(Call("GET", path, {"fileName": file_name})).content
