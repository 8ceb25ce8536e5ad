"""Edge registration tokens, which belong to the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from palette.once import do_once, made_after
from palette.reading import at, flag, items, moment, text
from palette.transport import Call, Scope
from protected import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATH = "/v1/edgehosts/tokens"


@dataclass(frozen=True)
class RegistrationToken:
    """A token with which Edge hosts register into a project."""

    uid: str
    name: str
    token: Secret
    project_uid: str
    expires: datetime | None
    is_active: bool
    created: datetime | None


@dataclass(frozen=True)
class RegistrationTokens:
    """The registration tokens of the tenant."""

    scope: Scope

    def create(self, name: str, *, project_uid: str, expires: datetime) -> str:
        """Create a token for a project and give its uid; the text of the token comes from :meth:`get`."""
        asked = self.scope.transport.palette_time()
        call = Call("POST", _PATH, body=_body(name, project_uid, expires), in_project=False)

        def look() -> str | None:
            found = self.find(name)
            return found.uid if found and made_after(found.created, asked) else None

        return do_once(self.scope, lambda: self.scope.make(call), look)

    def list(self) -> Iterator[RegistrationToken]:
        """Yield every token of the tenant."""
        answer = self.scope.ask(Call("GET", _PATH, in_project=False))
        yield from (_read(item) for item in items(answer, "items"))

    def find(self, name: str) -> RegistrationToken | None:
        """Return the token of that name, or None."""
        return next((token for token in self.list() if token.name == name), None)

    def get(self, uid: str) -> RegistrationToken:
        """Read one. Raises NotFoundError."""
        return _read(self.scope.ask(Call("GET", at(_PATH + "/{uid}", uid=uid), in_project=False)))

    def update(self, uid: str, *, name: str, project_uid: str, expires: datetime) -> None:
        """Change name, project and end of a token."""
        body = _body(name, project_uid, expires)
        self.scope.send(Call("PUT", at(_PATH + "/{uid}", uid=uid), body=body, in_project=False))

    def set_active(self, uid: str, *, active: bool) -> None:
        """Let a token be used, or not."""
        path = at(_PATH + "/{uid}/state", uid=uid)
        self.scope.send(Call("PUT", path, body={"isActive": active}, in_project=False))

    def delete(self, uid: str) -> None:
        """Delete a token; hosts registered with it stay."""
        self.scope.send(Call("DELETE", at(_PATH + "/{uid}", uid=uid), in_project=False))


def _body(name: str, project_uid: str, expires: datetime) -> dict[str, object]:
    expiry = expires.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"metadata": {"name": name}, "spec": {"defaultProjectUid": project_uid, "expiry": expiry}}


def _read(value: Mapping[str, Any]) -> RegistrationToken:
    return RegistrationToken(
        uid=text(value, "metadata", "uid"),
        name=text(value, "metadata", "name"),
        token=Secret(text(value, "spec", "token")),
        project_uid=text(value, "spec", "defaultProject", "uid"),
        expires=moment(value, "spec", "expiry"),
        is_active=flag(value, "status", "isActive"),
        created=moment(value, "metadata", "creationTimestamp"),
    )
