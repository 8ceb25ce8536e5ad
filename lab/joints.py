"""The named places where the lab's behaviour can be replaced by a seeded fault.

Healthy code asks :class:`Behaviour` at each joint and passes its own healthy function; without a fault that function
is called and nothing else happens. A fault is a set of replacements, each called as ``replacement(healthy, *args)``.
This module runs on the Edge hosts too, so it needs nothing beyond the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Room = Literal["agent", "upgrade", "palette", "host"]


@dataclass(frozen=True)
class Joint:
    """One place of the lab that a fault can take over; ``meaning`` says what a healthy lab does there."""

    name: str
    room: Room
    meaning: str


# The agent on the host: deployment.
DEPLOY_CREDENTIAL = Joint("deploy-credential", "agent", "(credential) -> credential used for the deployment pull")
CARRY_CREDENTIAL = Joint("carry-credential", "agent", "(credential) -> credential stored in the cluster as a Secret")

# The upgrade path: repave.
UPGRADE_CREDENTIAL = Joint("upgrade-credential", "upgrade", "(credential) -> credential used for the repave pull")

# The Palette endpoint.
RESOLVE_MACRO = Joint(
    "resolve-macro", "palette", "(name, scopes) -> the macro's value, None when there is no such macro"
)
RENDER_VALUES = Joint("render-values", "palette", "(text, scopes) -> the values with every reference resolved")
APPLY_VERSION = Joint("apply-version", "palette", "(current, new) -> the rendered layers that the cluster is moved to")
DECIDE_REPAVE = Joint("decide-repave", "palette", "(current OS layer, new OS layer) -> reasons why nodes are replaced")
REQUIRE_APPROVAL = Joint("require-approval", "palette", "(reasons) -> whether a repave waits to be approved")
ORDER_NODES = Joint("order-nodes", "palette", "(nodes still to repave) -> the same nodes in the order of their turns")
TAKE_TURNS = Joint("take-turns", "palette", "(ordered nodes still to repave) -> those that may repave now")
DELIVER_ORDER = Joint("deliver-order", "palette", "(order) -> the order that the agent on the host is given")
REPORT_STATE = Joint("report-state", "palette", "(cluster) -> the cluster state told to API clients")
REPORT_HEALTH = Joint("report-health", "palette", "(cluster) -> the cluster health told to API clients")
EMIT_EVENT = Joint("emit-event", "palette", "(event, cluster or None) -> the event that is kept, None for none")
MASK_ANSWER = Joint("mask-answer", "palette", "(answer, clear secrets) -> the answer with its secrets masked")

PALETTE_JOINTS: tuple[Joint, ...] = (
    RESOLVE_MACRO,
    RENDER_VALUES,
    APPLY_VERSION,
    DECIDE_REPAVE,
    REQUIRE_APPROVAL,
    ORDER_NODES,
    TAKE_TURNS,
    DELIVER_ORDER,
    REPORT_STATE,
    REPORT_HEALTH,
    EMIT_EVENT,
    MASK_ANSWER,
)

JOINTS: tuple[Joint, ...] = (DEPLOY_CREDENTIAL, CARRY_CREDENTIAL, UPGRADE_CREDENTIAL, *PALETTE_JOINTS)


@dataclass(frozen=True)
class Fault:
    """A deliberately wrong lab: which joints it takes over, which requirements must catch it, and why it exists."""

    name: str
    replacements: Mapping[Joint, Callable[..., Any]]
    catches: tuple[str, ...]
    because: str


@dataclass
class Behaviour:
    """What happens at each joint: the healthy function, unless a fault replaced it."""

    faults: tuple[Fault, ...] = field(default=())

    def at(self, joint: Joint, healthy: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - as varied as the joints
        """Do what is to be done at ``joint``: call ``healthy(*args)``, or the fault's replacement around it."""
        act = healthy
        for fault in self.faults:
            replacement = fault.replacements.get(joint)
            if replacement is not None:
                act = _around(replacement, act)
        return act(*args)


def _around(replacement: Callable[..., Any], healthy: Callable[..., Any]) -> Callable[..., Any]:
    def act(*args: Any) -> Any:  # noqa: ANN401 - as varied as the joints
        return replacement(healthy, *args)

    return act
