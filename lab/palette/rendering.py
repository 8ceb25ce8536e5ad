"""A cluster's profiles rendered into what its hosts are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.injection import READ_OS_LAYER, RENDER_VALUES, RESOLVE_MACRO
from lab.palette.catalogue import pack_version
from lab.palette.context import known_of
from lab.palette.store import Attached, ClusterRecord, LayerRecords, PackRecord, ProfileRecord
from lab.palette.values import RenderError, Scopes, read_os_layer, references, render_values, resolve_macro

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.palette.context import ApiContext

_NO_VARIABLES = "'{name}' of the OS layer is built from a profile variable; variables cannot be used for {name}"


def render_layers(context: ApiContext, cluster: ClusterRecord, attached: Sequence[Attached]) -> LayerRecords:
    """Render what a cluster's hosts are sent. Raises RenderError with the reason of the event to emit."""
    packs = [(profile, pack) for profile in attached for pack in profile.template.packs]
    texts = {
        pack.layer: render_pack(
            context, scopes_of(context, cluster, attached, p), p.values_of(pack), **known_of(cluster, p)
        )
        for p, pack in packs
    }
    if "os" not in texts:
        raise RenderError("FailedRender", "the profiles of this cluster have no OS layer")
    layer = context.behaviour.at(READ_OS_LAYER, read_os_layer, texts["os"], **known_of(cluster))
    kubernetes = next(((pack.name, pack_version(pack)) for _, pack in packs if pack.layer == "k8s"), ("", ""))
    return LayerRecords(os_values=texts["os"], k8s_values=texts.get("k8s", ""), os=layer, kubernetes=kubernetes)


def render_pack(context: ApiContext, scopes: Scopes, text: str, **known: Any) -> str:  # noqa: ANN401 - fields of Where
    """Render one text within ``scopes``; ``known`` is what is known of whose text it is. Raises RenderError."""
    behaviour = context.behaviour

    def macro(name: str, scopes: Scopes) -> str | None:
        value: str | None = behaviour.at(RESOLVE_MACRO, resolve_macro, name, scopes, **known)
        return value

    def render(text: str, scopes: Scopes) -> str:
        return render_values(text, scopes, macro)

    rendered: str = behaviour.at(RENDER_VALUES, render, text, scopes, **known)
    return rendered


def scopes_of(context: ApiContext, cluster: ClusterRecord, attached: Sequence[Attached], profile: Attached) -> Scopes:
    """Where the references of one attached profile look."""
    macros = context.store.project_macros.get(cluster.meta.project or "", {})
    return Scopes(
        project=macros,
        tenant=context.store.tenant_macros,
        system=context.store.system_macros,
        variables=variables_of(profile),
        packs={pack.name: p.values_of(pack) for p in attached for pack in p.template.packs},
        cluster={"cluster.uid": cluster.meta.uid, "cluster.name": cluster.meta.name},
    )


def profile_scopes(context: ApiContext, profile: ProfileRecord) -> Scopes:
    """Where the references of a profile look while no cluster uses it."""
    defaults = {v["name"]: v["defaultValue"] for v in profile.variables if v.get("defaultValue")}
    return Scopes(
        project=context.store.project_macros.get(profile.meta.project or "", {}),
        tenant=context.store.tenant_macros,
        system=context.store.system_macros,
        variables=defaults,
        packs={pack.name: pack.values for pack in profile.shown.packs},
    )


def variables_of(profile: Attached) -> dict[str, str]:
    """Return the variables of an attached profile: the cluster's values over the profile's defaults."""
    defaults = {v["name"]: v["defaultValue"] for v in profile.variables if v.get("defaultValue")}
    return {**defaults, **profile.variable_values}


def forbidden_variable(pack: PackRecord) -> str:
    """Return where an OS layer uses a profile variable that the vendor's page forbids, empty for nowhere.

    "You cannot use profile variables for ``pack.content`` and ``system.uri``."
    """
    if pack.layer != "os" or not references(pack.values, "var"):
        return ""
    for line in pack.values.splitlines():
        if "system.uri:" in line and references(line, "var"):
            return _NO_VARIABLES.format(name="options.system.uri")
    return ""
