"""Macros of projects and of the tenant, and the ones visible to profiles."""

from __future__ import annotations

from lab.palette.bodies import MACROS
from lab.palette.errors import ApiError, conflict, invalid, not_found
from lab.palette.web import ApiCall, Json, Table

TABLE = Table()

_PROJECT = "/v1/projects/{uid}/macros"
_TENANT = "/v1/tenants/{tenantUid}/macros"


def _macros(call: ApiCall) -> dict[str, str]:
    """Return the macros that the path names, by name."""
    store = call.context.store
    project = call.request.match_info.get("uid")
    if project is None:
        if call.path("tenantUid") != store.tenant_uid:
            raise not_found("tenant", call.path("tenantUid"))
        return store.tenant_macros
    if project not in store.projects:
        raise not_found("project", project)
    return store.project_macros.setdefault(project, {})


def _sent(call: ApiCall) -> dict[str, str]:
    sent: dict[str, str] = {}
    for position, macro in enumerate(call.body["macros"]):
        if macro["name"] in sent:
            raise invalid(f"macros[{position}].name", f"'{macro['name']}' is there twice; names are unique in a scope")
        sent[macro["name"]] = macro.get("value", "")
    return sent


def _unknown(names: list[str]) -> ApiError:
    return ApiError(404, "ResourceNotFound", f"there is no macro named {', '.join(names)} in this scope")


def _changed(call: ApiCall) -> None:
    call.reconciler.refresh(call.request.match_info.get("uid"))


@TABLE.serves("GET", _PROJECT)
@TABLE.serves("GET", _TENANT)
def listed(call: ApiCall) -> Json:
    """List the macros of a scope."""
    return {"macros": [{"name": name, "value": value} for name, value in _macros(call).items()]}


@TABLE.serves("POST", _PROJECT, body=MACROS)
@TABLE.serves("POST", _TENANT, body=MACROS)
def create(call: ApiCall) -> None:
    """Add macros; none of them may exist in the scope."""
    macros, sent = _macros(call), _sent(call)
    existing = [name for name in sent if name in macros]
    if existing:
        raise conflict("MacroAlreadyExists", f"there is already a macro named {', '.join(existing)} in this scope")
    macros.update(sent)
    _changed(call)


@TABLE.serves("PUT", _PROJECT, body=MACROS)
@TABLE.serves("PUT", _TENANT, body=MACROS)
def replace(call: ApiCall) -> None:
    """Make the scope hold exactly these macros."""
    macros, sent = _macros(call), _sent(call)
    macros.clear()
    macros.update(sent)
    _changed(call)


@TABLE.serves("PATCH", _PROJECT, body=MACROS)
@TABLE.serves("PATCH", _TENANT, body=MACROS)
def update(call: ApiCall) -> None:
    """Change macros by name; all of them must exist."""
    macros, sent = _macros(call), _sent(call)
    missing = [name for name in sent if name not in macros]
    if missing:
        raise _unknown(missing)
    macros.update(sent)
    _changed(call)


@TABLE.serves("DELETE", _PROJECT, body=MACROS)
@TABLE.serves("DELETE", _TENANT, body=MACROS)
def delete(call: ApiCall) -> None:
    """Delete macros by name; profiles that use them are left as they are (docs/palette.md R-065)."""
    macros, sent = _macros(call), _sent(call)
    missing = [name for name in sent if name not in macros]
    if missing:
        raise _unknown(missing)
    for name in sent:
        del macros[name]
    _changed(call)


@TABLE.serves("GET", "/v1/clusterprofiles/macros")
def visible(call: ApiCall) -> Json:
    """List what profiles of the project may refer to, each name once, as it would be resolved."""
    store = call.context.store
    seen = {**store.system_macros, **store.tenant_macros, **store.project_macros.get(call.project or "", {})}
    return {"macros": [{"name": name, "value": value} for name, value in seen.items()]}
