"""Removing what a run made in Palette, and looking a second time whether it is gone."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from harness.sites.leases import release
from palette.cluster_facts import GONE
from palette.errors import ConflictError, NotFoundError, PaletteError
from palette.waiting import WaitError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.ledger import Kind, Ledger
    from palette.client import ProjectView

#: The label by which everything that can carry one is known as this run's.
LABEL = "conformance-run"
#: Clusters go before the profiles they use, these before their macros; a host is given back when nothing is on it.
ORDER: tuple[Kind, ...] = ("cluster", "profile", "macro", "tenant macro", "lease")


def remove(project: ProjectView, kind: Kind, uid: str, *, run: str) -> str:
    """Remove one thing; return what went wrong, empty when it is gone."""
    try:
        _remove(project, kind, uid, run)
    except NotFoundError:
        return ""
    except (PaletteError, WaitError) as error:
        return str(error)
    return ""


def _remove(project: ProjectView, kind: Kind, uid: str, run: str) -> None:
    match kind:
        case "cluster":
            _remove_cluster(project, uid)
        case "profile":
            project.profiles.delete(uid)
        case "macro":
            project.macros.delete([uid])
        case "tenant macro":
            project.tenant_macros.delete([uid])
        case "lease":
            release(project.edge_hosts, uid, run)


def _remove_cluster(project: ProjectView, uid: str) -> None:
    """Delete a cluster, by force where it does not go by itself (Palette allows that after 15 minutes)."""
    clusters = project.clusters
    if clusters.state(uid) == GONE:
        return
    with suppress(ConflictError):  # it is on its way out already
        clusters.delete(uid)
    try:
        clusters.wait_until_gone(uid, within=clusters.wait.timeouts.force_delete_after)
    except WaitTimeoutError:
        clusters.delete(uid, force=True)
        clusters.wait_until_gone(uid)


def traces(project: ProjectView, ledger: Ledger) -> Iterator[tuple[Kind, str, str]]:
    """Yield what stands in Palette and is this run's: kind, uid and name.

    Names are those that the ledger holds. A cluster or profile of such a name counts only with the run's label, a
    profile version also when another version of the same profile has it; a lease only when it names the run. Macros
    and clones of the user's profile carry no labels; the run's identity is in their names.
    """
    run, made = ledger.about.get("run", ""), set(ledger.entries)
    for cluster in project.clusters.search():
        known = ("cluster", cluster.name) in ledger.names
        if known and cluster.state != GONE and _is_ours(project, run, "cluster", cluster.uid, made):
            yield "cluster", cluster.uid, cluster.name
    yield from _profiles(project, ledger, run, made)
    for kind, macros in (("macro", project.macros), ("tenant macro", project.tenant_macros)):
        if names := {name for known, name in ledger.names if known == kind}:
            yield from (_macro(kind, name) for name in macros.list() if name in names)
    leased = {uid for kind, uid in ledger.names if kind == "lease"}
    for host in project.edge_hosts.search() if leased else ():
        if host.uid in leased and run and host.labels.get(LABEL) == run:
            yield "lease", host.uid, host.name


def _macro(kind: str, name: str) -> tuple[Kind, str, str]:
    return ("macro" if kind == "macro" else "tenant macro"), name, name


def _profiles(
    project: ProjectView, ledger: Ledger, run: str, made: set[tuple[Kind, str]]
) -> Iterator[tuple[Kind, str, str]]:
    found = [profile for profile in project.profiles.list() if ("profile", profile.name) in ledger.names]
    ours = {profile.name for profile in found if _is_ours(project, run, "profile", profile.uid, made)}
    for profile in found:
        if profile.name in ours:
            yield "profile", profile.uid, profile.name


def _is_ours(project: ProjectView, run: str, kind: Kind, uid: str, made: set[tuple[Kind, str]]) -> bool:
    if (kind, uid) in made:
        return True
    try:
        found = project.clusters.get(uid) if kind == "cluster" else project.profiles.get(uid)
    except NotFoundError:
        return False
    if not run or LABEL in found.labels:
        return bool(run) and found.labels[LABEL] == run
    return kind == "profile" and found.name.startswith(f"{run}-")  # a clone has no label


def clear_verified(project: ProjectView, ledger: Ledger) -> list[str]:
    """Remove everything of a run, look a second time, and give a line for each thing that is still there."""
    failed = ledger.clear(project)
    try:
        for kind, uid, _ in list(traces(project, ledger)):
            remove(project, kind, uid, run=ledger.about.get("run", ""))  # also what something else held before
        left = list(traces(project, ledger))
    except PaletteError as error:
        return [*failed, f"the second look was not possible: {error}"]
    told = {f"{kind} {uid}" for kind, uid, _ in left}
    return [line for line in failed if line.partition(":")[0] in told] + [
        f"{kind} {uid}: {name} is still there"
        for kind, uid, name in left
        if not any(line.startswith(f"{kind} {uid}:") for line in failed)
    ]
