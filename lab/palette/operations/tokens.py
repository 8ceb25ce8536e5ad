"""Registration tokens of Edge hosts, which belong to the tenant (docs/palette.md §3.1)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lab.palette import shapes
from lab.palette.bodies import FLAG, META, TEXT, record
from lab.palette.errors import conflict, invalid, not_found
from lab.palette.store import Meta, Token, new_uid
from lab.palette.times import from_text
from lab.palette.web import ApiCall, Created, Json, Table

if TYPE_CHECKING:
    from datetime import datetime

TABLE = Table()

_TOKEN = record("metadata", metadata=META, spec=record(defaultProjectUid=TEXT, expiry=TEXT))


def _token(call: ApiCall) -> Token:
    token = call.context.store.tokens.get(call.path("uid"))
    if token is None:
        raise not_found("edgetoken", call.path("uid"))
    return token


def _project_of_token(call: ApiCall, spec: Json) -> str | None:
    uid = spec.get("defaultProjectUid") or None
    if uid is not None and uid not in call.context.store.projects:
        raise invalid("spec.defaultProjectUid", f"this tenant has no project '{uid}'")
    return uid


def _expiry(spec: Json) -> datetime | None:
    if not spec.get("expiry"):
        return None
    try:
        expiry = from_text(spec["expiry"])
    except ValueError as error:
        raise invalid("spec.expiry", f"'{spec['expiry']}' is no time; write it as 2026-12-31T00:00:00Z") from error
    return expiry if expiry.year > 1 else None  # Go's zero time


@TABLE.serves("GET", "/v1/edgehosts/tokens")
def tokens(call: ApiCall) -> Json:
    """List the registration tokens with their text."""
    return {"items": [shapes.token(token, call.context.store) for token in call.context.store.tokens.values()]}


@TABLE.serves("POST", "/v1/edgehosts/tokens", body=_TOKEN)
def create_token(call: ApiCall) -> Created:
    """Make a registration token."""
    name = call.body["metadata"].get("name", "")
    known = call.context.store.tokens
    if not name:
        raise invalid("metadata.name", "is missing")
    if any(token.meta.name == name for token in known.values()):
        raise conflict("EdgeTokenAlreadyExists", f"there is already a registration token named '{name}'")
    spec = call.body.get("spec", {})
    meta = Meta(new_uid(), name, _project_of_token(call, spec))
    known[meta.uid] = Token(meta, secrets.token_urlsafe(24), _expiry(spec))
    return Created(meta.uid)


@TABLE.serves("GET", "/v1/edgehosts/tokens/{uid}")
def get_token(call: ApiCall) -> Json:
    """Return one registration token."""
    return shapes.token(_token(call), call.context.store)


@TABLE.serves("PUT", "/v1/edgehosts/tokens/{uid}", body=_TOKEN)
def update_token(call: ApiCall) -> None:
    """Change project, name and expiry of a token."""
    token, spec = _token(call), call.body.get("spec", {})
    project, expiry = _project_of_token(call, spec), _expiry(spec)
    token.meta.name = call.body["metadata"].get("name") or token.meta.name
    token.meta.project, token.expiry = project, expiry
    token.meta.touch()


@TABLE.serves("PUT", "/v1/edgehosts/tokens/{uid}/state", body=record(isActive=FLAG))
def set_token_state(call: ApiCall) -> None:
    """Switch a token on or off; Go leaves a false out."""
    _token(call).active = call.body.get("isActive", False)


@TABLE.serves("DELETE", "/v1/edgehosts/tokens/{uid}")
def delete_token(call: ApiCall) -> None:
    """Delete a token; hosts that registered with it stay."""
    del call.context.store.tokens[_token(call).meta.uid]
