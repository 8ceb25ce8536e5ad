"""Cluster profiles: create, version, edit, publish, read, delete."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from palette.errors import NotFoundError, PaletteError
from palette.once import do_once, made_after
from palette.reading import at, dig, flag, items, moment, text, texts
from palette.transport import Call, Scope
from protected import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime


Layer = Literal["kernel", "os", "k8s", "cni", "csi", "addon"]


@dataclass(frozen=True)
class Pack:
    """One layer of a profile. ``values`` is YAML text and may hold a password, so it is neither shown nor told."""

    name: str
    uid: str = ""
    tag: str = ""
    values: str = field(default="", repr=False)
    layer: str = ""
    registry_uid: str = ""
    type: str = "spectro"

    def body(self, *names: str) -> dict[str, str | Secret]:
        """Return the fields that have a value, in Palette's spelling; ``names`` limits them."""
        spelled = {
            "name": self.name,
            "uid": self.uid,
            "tag": self.tag,
            "values": covered(self.values),
            "layer": self.layer,
            "registryUid": self.registry_uid,
            "type": self.type,
        }
        return {key: value for key, value in spelled.items() if value and (not names or key in names)}


@dataclass(frozen=True)
class Profile:
    """A cluster profile version as Palette shows it; ``packs`` are those of the published template, else the draft."""

    uid: str
    name: str
    version: str
    is_published: bool
    packs: tuple[Pack, ...]
    labels: Mapping[str, str]
    created: datetime | None
    cloud_type: str = ""

    def pack(self, layer: str) -> Pack:
        """Return the pack of a layer. Raises LookupError that names the layers there are."""
        for pack in self.packs:
            if pack.layer == layer:
                return pack
        layers = ", ".join(pack.layer for pack in self.packs) or "none"
        raise LookupError(f"profile {self.name} {self.version} has no layer {layer!r}; it has {layers}")


@dataclass(frozen=True)
class ProfileName:
    """Name and version of a profile, as lists give them."""

    uid: str
    name: str
    version: str


@dataclass(frozen=True)
class Variable:
    """A variable of a profile; one that is ``required`` has to be given a value where there is no default."""

    default: str
    required: bool


@dataclass(frozen=True)
class Profiles:
    """The cluster profiles of a project, or of the tenant."""

    scope: Scope

    def create(
        self,
        name: str,
        packs: Iterable[Pack],
        *,
        version: str = "1.0.0",
        publish: bool = True,
        labels: Mapping[str, str] | None = None,
        kind: str = "infra",
    ) -> str:
        """Create a profile for Edge clusters and give its uid; the packs come in the order of layers, OS first."""
        template = {"type": kind, "cloudType": "edge-native", "packs": [pack.body() for pack in packs]}
        spec: dict[str, object] = {"version": version, "template": template}
        body = {"metadata": {"name": name, "labels": dict(labels or {})}, "spec": spec}
        call = Call("POST", "/v1/clusterprofiles", {"publish": publish}, body)
        return self._made(call, name, version)

    def clone(self, uid: str, *, name: str, version: str) -> str:
        """Copy a profile; with its own name and another version this is "Create new version". Return the new uid."""
        project = self.scope.project_uid
        target = {"scope": "tenant"} if project is None else {"scope": "project", "projectUid": project}
        body = {"metadata": {"name": name, "version": version, "target": target}}
        return self._made(Call("POST", at("/v1/clusterprofiles/{uid}/clone", uid=uid), body=body), name, version)

    def new_version(
        self, uid: str, version: str, values: Mapping[str, str], *, name: str = "", publish: bool = True
    ) -> str:
        """Make the next version of a profile with new values for the named packs, and return its uid.

        With ``name`` it is the first version of a profile of its own. A version that could not be finished is deleted
        again. Raises LookupError when the profile has no such pack.
        """
        origin = self.get(uid)
        known = {pack.name: pack for pack in origin.packs}
        if missing := values.keys() - known.keys():
            raise LookupError(
                f"profile {origin.name} has no pack {', '.join(sorted(missing))}; it has {', '.join(known)}"
            )
        made = self.clone(uid, name=name or origin.name, version=version)
        try:
            for pack, new in values.items():
                self.update_pack(made, replace(known[pack], values=new))
            if publish:
                self.publish(made)
        except PaletteError:
            self.delete(made)
            raise
        return made

    def update_pack(self, uid: str, pack: Pack) -> None:
        """Replace one pack of a draft profile; write values from your own copy, an answer may be masked."""
        path = at("/v1/clusterprofiles/{uid}/packs/{packName}", uid=uid, packName=pack.name)
        self.scope.send(Call("PUT", path, body={"pack": pack.body("name", "uid", "tag", "layer", "type", "values")}))

    def publish(self, uid: str) -> None:
        """Turn the draft into the published profile."""
        self.scope.send(Call("PATCH", at("/v1/clusterprofiles/{uid}/publish", uid=uid), repeatable=True))

    def get(self, uid: str) -> Profile:
        """Read one profile. Raises NotFoundError."""
        return _profile(self.scope.ask(Call("GET", at("/v1/clusterprofiles/{uid}", uid=uid))))

    def list(self) -> Iterator[ProfileName]:
        """Yield name and version of every profile that can be seen."""
        answer = self.scope.ask(Call("GET", "/v1/dashboard/clusterprofiles/metadata"))
        for item in items(answer, "items"):
            yield ProfileName(
                text(item, "metadata", "uid"), text(item, "metadata", "name"), text(item, "spec", "version")
            )

    def find(self, name: str, version: str) -> ProfileName | None:
        """Return the profile of that name and version, or None."""
        return next((found for found in self.list() if (found.name, found.version) == (name, version)), None)

    def packs(self, uid: str) -> tuple[Pack, ...]:
        """Read the packs of a profile with their values as Palette shows them."""
        answer = self.scope.ask(Call("GET", at("/v1/clusterprofiles/{uid}/packs", uid=uid)))
        return tuple(_summary_pack(item) for item in items(answer, "items"))

    def pack(self, uid: str, name: str) -> Pack:
        """Read one pack of a profile. Raises NotFoundError."""
        path = at("/v1/clusterprofiles/{uid}/packs/{packName}", uid=uid, packName=name)
        answer = self.scope.ask(Call("GET", path))
        return _summary_pack({"metadata": dig(answer, "metadata"), "spec": dig(answer, "spec", "pack")})

    def resolved_values(self, uid: str, references: Sequence[str]) -> Mapping[str, str]:
        """Ask what references such as pack macros stand for in a profile (a GET with a body)."""
        path = at("/v1/clusterprofiles/{uid}/packs/resolvedValues", uid=uid)
        answer = self.scope.ask(Call("GET", path, body={"references": list(references)}))
        return texts(answer, "resolved")

    def export(self, uid: str, *, form: Literal["yaml", "json"] = "yaml") -> str:
        """Export a profile as text."""
        answer = self.scope.send(Call("GET", at("/v1/clusterprofiles/{uid}/export", uid=uid), {"format": form}))
        return answer.content.decode("utf-8", "replace")

    def delete(self, uid: str) -> None:
        """Delete a profile. Raises ConflictError while a cluster uses it, NotFoundError when it is not there."""
        self.scope.send(Call("DELETE", at("/v1/clusterprofiles/{uid}", uid=uid)))

    def variables(self, uid: str) -> Mapping[str, Variable]:
        """Read a profile's variables by name; defaults of sensitive ones come masked."""
        answer = self.scope.ask(Call("GET", at("/v1/clusterprofiles/{uid}/variables", uid=uid)))
        return {
            text(item, "name"): Variable(text(item, "defaultValue"), dig(item, "required") is True)
            for item in items(answer, "variables")
        }

    def _made(self, call: Call, name: str, version: str) -> str:
        asked = self.scope.transport.palette_time()

        def look() -> str | None:
            found = self.find(name, version)
            return found.uid if found and self._is_ours(found.uid, asked) else None

        return do_once(self.scope, lambda: self.scope.make(call), look)

    def _is_ours(self, uid: str, asked: datetime | None) -> bool:
        try:
            return made_after(self.get(uid).created, asked)
        except NotFoundError:
            return False


def covered(values: str) -> str | Secret:
    """Cover a text that may hold a password, so that no variable on its way to the wire shows it."""
    return Secret(values) if values else values


def _profile(value: Mapping[str, Any]) -> Profile:
    template = dig(value, "spec", "published") or dig(value, "spec", "draft")
    return Profile(
        uid=text(value, "metadata", "uid"),
        name=text(value, "metadata", "name"),
        version=text(value, "spec", "version"),
        is_published=flag(value, "status", "isPublished"),
        packs=tuple(read_pack(pack) for pack in items(template, "packs")),
        labels=texts(value, "metadata", "labels"),
        created=moment(value, "metadata", "creationTimestamp"),
        cloud_type=text(template, "cloudType"),
    )


def read_pack(value: object) -> Pack:
    """Read a pack as templates hold it (``v1PackRef``)."""
    return Pack(
        name=text(value, "name"),
        uid=text(value, "packUid"),
        tag=text(value, "tag"),
        values=text(value, "values"),
        layer=text(value, "layer"),
        registry_uid=text(value, "registryUid"),
        type=text(value, "type") or "spectro",
    )


def _summary_pack(value: object) -> Pack:
    """Read a pack as lists of packs hold it (``v1PackSummarySpec``), which has a version in place of a tag."""
    return Pack(
        name=text(value, "spec", "name"),
        uid=text(value, "metadata", "uid"),
        tag=text(value, "spec", "version"),
        values=text(value, "spec", "values"),
        layer=text(value, "spec", "layer"),
        registry_uid=text(value, "spec", "registryUid"),
        type=text(value, "spec", "type") or "spectro",
    )
