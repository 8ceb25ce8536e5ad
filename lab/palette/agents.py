"""The agent channel: how Edge hosts of the lab are given orders and say what they did. Private to the lab.

Registration uses the published ``POST /v1/edgehosts/register``. Everything here is authenticated by the header
``RegistrationToken``.

``GET /lab/agents/{uid}/orders?after=REVISION`` answers ``{"revision", "cluster", "faults", "reset"}`` as soon as the
revision is newer than ``after``, else after :attr:`Settings.long_poll_s` with what it was. ``cluster`` is null or holds
``uid``, ``name``, ``role``, ``generation`` (never repeats), ``profileUid``, ``profileVersion``, ``image``,
``credential`` (``registry``, ``user``, ``password``, ``certificates``, or null), ``osValues``, ``k8sValues``
(rendered, passwords in clear), ``kubernetes`` (name and tag of that layer's pack), ``turn`` (the host may act on this
generation now) and ``repave`` (this generation replaces nodes). A host that waits for its turn keeps being given its
previous generation with ``turn`` false. ``reset`` counts how often the host must have become as it was registered.

``POST /lab/agents/{uid}/reports`` takes ``{"reports": [...]}`` of kind ``event``, ``state``, ``heartbeat`` and
``touch`` (what a seeded fault did there). A state report should repeat the ``generation`` it is about and, when it says
``idle``, the ``reset`` it has done; a host that runs Kubernetes may send its ``kubeconfig`` with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from lab.injection import Touch
from lab.palette.bodies import FLAG, NAME, TEXT, WHOLE, check, many, one_of, read_json, record
from lab.palette.errors import not_found, unauthorized
from lab.palette.events import Source
from lab.palette.store import EdgeHostRecord, Token, now
from lab.palette.times import from_text

if TYPE_CHECKING:
    from datetime import datetime

    from lab.palette.context import ApiContext
    from lab.palette.reconciler import Reconciler

TOKEN_HEADER = "RegistrationToken"  # noqa: S105 - the name of a header

_EVENT = record(
    "severity", "reason", "message", severity=one_of("Normal", "Warning", "Error"), reason=NAME, message=TEXT, time=TEXT
)
_STATE = record(
    "state",
    state=one_of("idle", "pulling", "installing", "running", "failed", "resetting"),
    generation=WHOLE,
    reset=WHOLE,
    image=TEXT,
    digest=TEXT,
    activeSlot=TEXT,
    bootId=TEXT,
    message=TEXT,
    kubeconfig=TEXT,
)
_TOUCH = record("fault", "point", "differed", fault=TEXT, point=TEXT, differed=FLAG)
_KINDS = {"event": _EVENT, "state": _STATE, "heartbeat": record(), "touch": _TOUCH}
_REPORTS = record("reports", reports=many(record("kind", kind=one_of(*_KINDS))))


def token_of(context: ApiContext, request: web.Request) -> Token:
    """Return the registration token of a request. Raises ApiError 401."""
    text = request.headers.get(TOKEN_HEADER, "")
    for token in context.store.tokens.values():
        if token.text == text:
            if not token.active:
                raise unauthorized(f"registration token '{token.meta.name}' is not active")
            if token.expiry is not None and token.expiry <= now():
                raise unauthorized(f"registration token '{token.meta.name}' expired at {token.expiry.isoformat()}")
            return token
    raise unauthorized(f"header {TOKEN_HEADER}: no such registration token")


class AgentChannel:
    """Serves the agents; ``closing`` is set when the endpoint stops, so that no poll holds it up."""

    def __init__(self, context: ApiContext, reconciler: Reconciler) -> None:
        self._context = context
        self._reconciler = reconciler
        self.closing = False

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the channel."""
        return [web.get("/lab/agents/{uid}/orders", self._orders), web.post("/lab/agents/{uid}/reports", self._reports)]

    def close(self) -> None:
        """End all waiting polls."""
        self.closing = True
        for host in self._context.store.hosts.values():
            _wake(host)

    async def _orders(self, request: web.Request) -> web.Response:
        host = self._host(request)
        after = request.query.get("after", "")
        seen = int(after) if after.isdecimal() else -1
        if host.revision <= seen:
            await self._wait(host)
        return web.json_response({"revision": host.revision, **host.order})

    async def _wait(self, host: EdgeHostRecord) -> None:
        if self.closing:
            return
        waiter = asyncio.get_running_loop().create_future()
        host.waiters.add(waiter)
        host.open_polls += 1
        try:
            await asyncio.wait_for(waiter, self._context.settings.long_poll_s)
        except TimeoutError:
            pass  # nothing new: the agent is given what it has
        finally:
            host.open_polls -= 1
            host.waiters.discard(waiter)
            host.last_seen = now()

    async def _reports(self, request: web.Request) -> web.Response:
        host = self._host(request)
        body = await read_json(request)
        check(body, _REPORTS)
        for report in body["reports"]:
            check(report, _KINDS[report["kind"]])
        for report in body["reports"]:
            self._take(host, report)
        self._reconciler.settle()
        return web.Response(status=204)

    def _take(self, host: EdgeHostRecord, report: dict[str, Any]) -> None:
        if report["kind"] == "event":
            self._event(host, report)
        elif report["kind"] == "state":
            self._reconciler.state_reported(host, report)
        elif report["kind"] == "touch":
            self._context.note(Touch(report["fault"], report["point"], report["differed"]))
        else:
            host.sends_heartbeats = True

    def _event(self, host: EdgeHostRecord, report: dict[str, Any]) -> None:
        events = self._context.events
        said = (report["severity"], report["reason"], report["message"])
        source = Source("stylus-agent", host.meta.uid, _time(report.get("time", "")))
        events.about_host(host, *said, source)
        cluster = self._context.store.clusters.get(host.cluster_uid or "")
        if cluster is not None:
            events.about_cluster(cluster, *said, source)

    def _host(self, request: web.Request) -> EdgeHostRecord:
        host = self._context.store.hosts.get(request.match_info["uid"])
        if host is None or request.headers.get(TOKEN_HEADER) != host.registered_with:
            token = token_of(self._context, request)
            if host is None or host.meta.project != token.meta.project:
                raise not_found("edgehost", request.match_info["uid"])
        host.last_seen = now()
        return host


def _wake(host: EdgeHostRecord) -> None:
    for waiter in host.waiters:
        if not waiter.done():
            waiter.set_result(None)


def _time(text: str) -> datetime:
    try:
        return from_text(text) if text else now()
    except ValueError:
        return now()
