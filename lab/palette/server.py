"""The endpoint itself: an aiohttp application in front of the operations and the agent channel."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from aiohttp import web

from lab.faults import behaviour_of
from lab.injection import ANSWER, Behaviour, FaultError, Touch
from lab.palette.access import Access
from lab.palette.agents import AgentChannel
from lab.palette.bodies import check, read_json
from lab.palette.context import ApiContext
from lab.palette.errors import ApiError
from lab.palette.limits import RateLimits, Troubles
from lab.palette.operations import (
    catalogue,
    clusters,
    events,
    hosts,
    logs,
    macros,
    pools,
    profile_packs,
    profiles,
    tokens,
    updates,
)
from lab.palette.reconciler import Reconciler
from lab.palette.store import Meta, Token, new_uid
from lab.palette.unserved import is_unserved
from lab.palette.web import Accepted, Answer, ApiCall, Created, File, Route

if TYPE_CHECKING:
    import ssl

    from lab.palette.settings import Settings

_TABLES = (catalogue, clusters, events, hosts, logs, macros, pools, profile_packs, profiles, tokens, updates)
_LARGEST_BODY = 8 * 1024 * 1024
_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes() -> list[Route]:
    """Return the published operations that the endpoint serves, in the order in which they are matched."""
    return sorted((route for table in _TABLES for route in table.TABLE.routes), key=lambda route: route.order)


class PaletteEndpoint:
    """A Palette endpoint of the lab. What it knows is gone when it stops.

    Faults may be seeded, and ``behaviour`` (that of this endpoint) assigned, at any time and from any thread: it takes
    effect at the next thing that happens.
    """

    def __init__(self, settings: Settings) -> None:
        self._context = ApiContext(settings, Behaviour())
        self._reconciler = Reconciler(self._context)
        self._access = Access(self._context)
        self._agents = AgentChannel(self._context, self._reconciler)
        self._limits = RateLimits()
        self._troubles = Troubles(settings.strictness)
        self._runner: web.AppRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._furnish(settings)

    def _furnish(self, settings: Settings) -> None:
        store = self._context.store
        for name in settings.projects:
            project = Meta(new_uid(), name, None)
            store.projects[project.uid] = project
        first = next(iter(store.projects))
        for number, text in enumerate(settings.registration_tokens, start=1):
            token = Token(Meta(new_uid(), f"token-{number}", first), text)
            store.tokens[token.meta.uid] = token

    @property
    def behaviour(self) -> Behaviour:
        """What happens at the injection points of this endpoint."""
        return self._context.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._context.behaviour = behaviour
        self._settle_soon()

    def seed(self, specifications: Sequence[Any]) -> None:
        """Put these faults in force and no others, on this endpoint and, with its next order, on every host."""
        self._context.faults = list(specifications)
        self.behaviour = behaviour_of(specifications)

    @property
    def touches(self) -> list[Touch]:
        """What the faults in force did so far, on this endpoint and on the hosts."""
        return sorted(self._context.behaviour.touches, key=astuple)

    @property
    def faults(self) -> Sequence[Any]:
        """The specifications of the faults that are seeded; every agent is handed them under ``faults``."""
        return tuple(self._context.faults)

    @property
    def tenant_uid(self) -> str:
        """Identity of the tenant."""
        return self._context.store.tenant_uid

    def registered_hosts(self) -> int:
        """Count the Edge hosts whose agent has registered."""
        return sum(host.last_seen is not None for host in self._context.store.hosts.values())

    def project_uid(self, name: str) -> str:
        """Return the identity of a project. Raises KeyError when there is none of that name."""
        for project in self._context.store.projects.values():
            if project.name == name:
                return project.uid
        known = ", ".join(project.name for project in self._context.store.projects.values())
        raise KeyError(f"no project is named '{name}'; there are: {known}")

    async def start(self, bind_host: str, port: int, ssl_context: ssl.SSLContext | None) -> int:
        """Listen; give the port, which is another when 0 was asked for. Raises OSError when the port is taken."""
        self._loop = asyncio.get_running_loop()
        self._runner = web.AppRunner(
            self._application(), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, bind_host, port, ssl_context=ssl_context).start()
        except OSError:
            await self.stop()
            raise
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and end every waiting request."""
        self._agents.close()
        if self._runner is not None:
            server = self._runner.server
            transports = [connection.transport for connection in server.connections] if server else []
            await self._runner.cleanup()
            await _abort(transports)
            self._runner = None
        self._loop = None

    def _settle_soon(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._reconciler.settle)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_enveloped, self._troubled], client_max_size=_LARGEST_BODY)
        for route in routes():
            application.router.add_route(route.method, route.path, self._handler(route))
        application.add_routes(self._agents.routes())
        return application

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            project = None if route.public else self._access.project_of(request)
            body = await read_json(request)
            if route.body is not None:
                check(body, route.body)
            call = ApiCall(self._context, self._reconciler, request, project, body)
            return _response(call, self._answer(route, call))

        return handle

    def _answer(self, route: Route, call: ApiCall) -> Answer:
        operation = f"{route.method} {route.path}"
        answer: Answer = self._context.behaviour.at(
            ANSWER, lambda _operation, said: said, operation, route.operation(call)
        )
        return answer

    @web.middleware
    async def _troubled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/v1/") and request.path != "/v1/edgehosts/register":
            self._trouble(request)
        return await handler(request)

    def _trouble(self, request: web.Request) -> None:
        limited = self._context.settings.strictness.rate_limits
        if limited and not self._limits.admits(request.remote or "", request.path):
            raise ApiError(429, "TooManyRequests", "Too many requests, please retry later")
        trouble = self._troubles.next()
        if trouble == "too-many":
            raise ApiError(429, "TooManyRequests", "Too many requests, please retry later")
        if trouble == "server-error":
            raise ApiError(503, "ServiceUnavailable", "The service is temporarily unavailable")
        if trouble == "reset" and request.transport is not None:
            request.transport.abort()
            raise ConnectionResetError


async def _abort(transports: Sequence[asyncio.Transport | None]) -> None:
    """End connections without waiting for a client to say goodbye over TLS, as idle keep-alive clients never do."""
    for transport in transports:
        if transport is not None:
            transport.abort()
    for _turn in range(3):  # transport, TLS and socket are each closed in a turn of the loop
        await asyncio.sleep(0)


def _response(call: ApiCall, answer: Any) -> web.Response:  # noqa: ANN401 - any Answer
    if answer is None:
        return web.Response(status=204)
    if isinstance(answer, Created):
        return web.json_response({"uid": answer.uid}, status=201, headers={"AuditUid": new_uid()})
    if isinstance(answer, Accepted):
        return web.Response(status=202)
    if isinstance(answer, File):
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", answer.name)  # a name is the client's text; a header is not
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=answer.content, content_type="application/octet-stream", headers=headers)
    return web.json_response(call.masked(answer))


def _unroutable(request: web.Request, error: web.HTTPException) -> ApiError:
    operation = f"{request.method} {request.path}"
    if error.status in {404, 405} and is_unserved(request.method, request.path):
        return ApiError(501, "NotImplemented", f"{operation} is published, and the lab does not serve it")
    return ApiError(error.status, (error.reason or "Error").replace(" ", ""), f"{operation}: {error.reason}")


@web.middleware
async def _enveloped(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        failure = error
    except web.HTTPException as error:
        failure = _unroutable(request, error)
    except (ConnectionResetError, asyncio.CancelledError):
        raise
    except FaultError as error:
        failure = ApiError(500, "FaultError", str(error))
    except Exception:  # noqa: BLE001 - whatever went wrong, a client gets an envelope
        _log.exception("%s %s failed", request.method, request.path)
        failure = ApiError(500, "StatusInternalServerError", "the lab's endpoint failed; its log says where")
    return web.json_response(failure.envelope(secrets.token_hex(8)), status=failure.status)


@contextmanager
def serving(
    endpoint: PaletteEndpoint, bind_host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Run the endpoint on an event loop of its own, in a thread, and give its port. Raises what ``start`` raises."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lab-palette", daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(endpoint.start(bind_host, port, ssl_context), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(endpoint.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
