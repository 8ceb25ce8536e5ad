"""The injection points: the named places where the lab's behaviour can be replaced by a seeded fault.

Healthy code asks :class:`Behaviour` at each point and passes its own healthy function; without a fault that function
is called and nothing else happens. A fault is a set of replacements, each called as ``replacement(healthy, *args)``,
and with ``where=`` (:class:`Where`) when it has a keyword-only parameter of that name.
This module runs on the Edge hosts too, so it needs nothing beyond the standard library.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Component = Literal["agent", "upgrade", "palette", "host"]


@dataclass(frozen=True)
class Point:
    """One place of the lab that a fault can take over; ``meaning`` says what a healthy lab does there."""

    name: str
    component: Component
    meaning: str
    effect: bool = False
    """Whether something is done here, not only found out: then it cannot be done twice to see what differs."""


@dataclass(frozen=True)
class Where:
    """What a real component knows at an injection point. What it cannot know there is empty, a number then 0.

    ``node`` is the Edge host, ``nodes`` those of the cluster; ``repave`` counts the repaves of the cluster on this host
    from 1, ``attempt`` the tries of this generation since the agent started; ``cluster`` is its name.
    """

    phase: str = ""
    node: str = ""
    role: str = ""
    cluster: str = ""
    profile: str = ""
    version: str = ""
    generation: int = 0
    repave: int = 0
    attempt: int = 0
    registry: str = ""
    nodes: tuple[str, ...] = ()
    effect: bool = False
    """As :attr:`Point.effect` of the injection point."""


# The agent on the host: what it is told, what it keeps.
HEED_ORDER = Point("heed-order", "agent", "(order) -> whether the agent follows it")
REMEMBER = Point("remember", "agent", "(state) -> what the agent still knows of its cluster after a boot")
CHOOSE_SOURCE = Point(
    "choose-source", "agent", "(cluster order, user data, phase) -> image and credential of the next pull"
)
CARRY_CREDENTIAL = Point("carry-credential", "agent", "(credential) -> credential stored in the cluster as a Secret")
KEEP_AUTHORITY = Point(
    "keep-authority", "agent", "(certificates given, phase) -> whether they become what the host trusts from now on"
)
FORGET_IMAGES = Point("forget-images", "agent", "() -> None; what was pulled for the cluster is removed", effect=True)
FORGET_CLUSTER = Point("forget-cluster", "agent", "(files of the cluster) -> those removed when the cluster is deleted")

# The agent on the host: deployment.
DEPLOY_CREDENTIAL = Point("deploy-credential", "agent", "(credential) -> credential used for the deployment pull")
DEPLOY_AUTHORITY = Point("deploy-authority", "agent", "(file) -> authority that the deployment pull trusts")
VERIFY_DEPLOY_TLS = Point("verify-deploy-tls", "agent", "() -> whether the deployment pull verifies certificates")
HAND_OVER_LOGIN = Point(
    "hand-over-login", "agent", "(folder, image, credential) -> the puller's arguments for its login", effect=True
)
DEPLOY_PULL = Point(
    "deploy-pull", "agent", "(image, credential) -> the system pulled; PullFailed when it cannot be", effect=True
)
CHECK_PLATFORM = Point("check-platform", "agent", "(image configuration) -> None; PullFailed for another machine's")

# Both pulls.
SCOPE_LOGIN = Point(
    "scope-login",
    "agent",
    "(image, credential, authority) -> the login that may be sent for the image, None for none",
    effect=True,
)
REQUEST_HEADERS = Point(
    "request-headers",
    "agent",
    "(url, headers, credential) -> headers of the question put to the registry before a pull",
)
FOLLOW_REDIRECT = Point(
    "follow-redirect", "agent", "(url, location) -> the URL that is asked next with the same headers, None for none"
)

# The agent on the host: from a pulled image to a running system.
REPLACE_SYSTEM = Point("replace-system", "agent", "(cluster order) -> whether this host pulls and boots another system")
INSTALL_SYSTEM = Point("install-system", "agent", "(system pulled, phase) -> the system that the next boot is to run")
SWITCH_SLOT = Point("switch-slot", "agent", "(system) -> None; the active slot becomes this system", effect=True)
BEFORE_PULL = Point(
    "before-pull", "agent", "(image, phase) -> None; what is done to the host before a pull: nothing", effect=True
)
AFTER_FAILED_PULL = Point(
    "after-failed-pull", "agent", "(cluster order) -> None; what is done to the host: nothing", effect=True
)
BACK_OFF = Point("back-off", "agent", "(seconds waited last) -> seconds until a failed pull is tried again")

# What the agent writes and says.
WRITE_FILE = Point(
    "write-file", "host", "(path, text) -> None; the file is written, readable by root alone", effect=True
)
LOG = Point("log", "host", "(message, cluster order) -> the message written to the journal")
REPORT = Point("report", "agent", "(report, cluster order) -> the report sent to Palette, None for none")

# The upgrade path: repave. ``nth`` counts the repaves of this cluster on this host from 1; a retry does not count.
UPGRADE_CREDENTIAL = Point("upgrade-credential", "upgrade", "(credential, nth) -> credential used for the repave pull")
UPGRADE_AUTHORITY = Point("upgrade-authority", "upgrade", "(file, nth) -> authority that the repave pull trusts")
VERIFY_UPGRADE_TLS = Point("verify-upgrade-tls", "upgrade", "() -> whether the repave pull verifies certificates")
UPGRADE_IMAGE = Point("upgrade-image", "upgrade", "(image of the profile) -> image pulled and installed")
PULL_POLICY = Point("pull-policy", "upgrade", "(image, whether the node has it) -> whether it is pulled")
UPGRADE_PULL = Point(
    "upgrade-pull", "upgrade", "(image, credential) -> None; PullFailed when it cannot be pulled", effect=True
)

# The Palette endpoint.
CHECK_VERSION = Point("check-version", "palette", "(version, place) -> None; ApiError for what is no version")
ENDPOINT_OWNER = Point(
    "endpoint-owner", "palette", "(control-plane endpoint) -> name of the cluster that has it, empty for none"
)
EDIT_PROFILE = Point(
    "edit-profile", "palette", "(store, profile) -> None; what an edit does to other versions: nothing", effect=True
)
PUBLISH = Point("publish", "palette", "(profile) -> None; the draft becomes what clusters use", effect=True)
READ_OS_LAYER = Point("read-os-layer", "palette", "(values) -> provider image and credential of the OS layer")
RESOLVE_MACRO = Point(
    "resolve-macro", "palette", "(name, scopes) -> the macro's value, None when there is no such macro"
)
RENDER_VALUES = Point("render-values", "palette", "(text, scopes) -> the values with every reference resolved")
APPLY_VERSION = Point("apply-version", "palette", "(current, new) -> the rendered layers that the cluster is moved to")
DECIDE_REPAVE = Point("decide-repave", "palette", "(current OS layer, new OS layer) -> reasons why nodes are replaced")
REQUIRE_APPROVAL = Point("require-approval", "palette", "(reasons) -> whether a repave waits to be approved")
ORDER_NODES = Point("order-nodes", "palette", "(nodes still to repave) -> the same nodes in the order of their turns")
TAKE_TURNS = Point("take-turns", "palette", "(ordered nodes still to repave) -> those that may repave now")
DELIVER_ORDER = Point("deliver-order", "palette", "(order) -> the order that the agent on the host is given")
APPROVE = Point("approve", "palette", "(delivery that waited) -> the delivery that the approval puts in force")
LIVENESS = Point("liveness", "palette", "(host) -> whether the Edge host counts as alive")
REPORT_STATE = Point("report-state", "palette", "(cluster) -> the cluster state told to API clients")
REPORT_HEALTH = Point("report-health", "palette", "(cluster) -> the cluster health told to API clients")
EMIT_EVENT = Point("emit-event", "palette", "(event, cluster or None) -> the event that is kept, None for none")
MASK_ANSWER = Point("mask-answer", "palette", "(answer, clear secrets) -> the answer with its secrets masked")
ANSWER = Point("answer", "palette", "(operation such as 'GET /v1/edgehosts/{uid}', answer) -> the answer sent")

POINTS: tuple[Point, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Point))
"""Every injection point, in the order above."""


@dataclass(frozen=True)
class Fault:
    """A deliberately wrong lab: which injection points it takes over, which requirements must catch it, and why."""

    name: str
    replacements: Mapping[Point, Callable[..., Any]]
    catches: tuple[str, ...]
    because: str
    change: str = ""
    road: str = ""


class FaultError(Exception):
    """A seeded fault made a mistake of programming, so nothing that follows says anything about the suite."""


@dataclass(frozen=True)
class Touch:
    """That a fault was asked at an injection point, and whether something else came of it than without it."""

    fault: str
    point: str
    differed: bool


@dataclass
class Behaviour:
    """What happens at each injection point: the healthy function, unless a fault replaced it.

    ``where`` is what is known at every point; ``note`` is told each :class:`Touch` once, and ``touches`` holds them.
    ``watched`` are faults that are only asked what they would do: the healthy thing is done.
    """

    faults: tuple[Fault, ...] = field(default=())
    where: Where = Where()
    note: Callable[[Touch], None] = lambda _touch: None
    watched: tuple[Fault, ...] = ()
    touches: set[Touch] = field(default_factory=set, repr=False)

    def at(self, point: Point, healthy: Callable[..., Any], *args: Any, **known: Any) -> Any:  # noqa: ANN401 - as varied as the injection points
        """Do what is to be done at ``point``: call ``healthy(*args)``, or the fault's replacement around it.

        ``known`` are the fields of :class:`Where` that are known here beside those known everywhere.
        """
        where = replace(self.where, effect=point.effect, **known)
        wrong = [fault for fault in self.faults if point in fault.replacements]
        watched = [fault for fault in self.watched if point in fault.replacements]
        if not wrong and not watched:
            return healthy(*args)
        expected = None if point.effect else _outcome(healthy, args)
        for fault in watched:
            if Touch(fault.name, point.name, differed=True) not in self.touches:
                again = expected and _again(expected, healthy, args)
                would = again and _outcome(_around(fault.replacements[point], again, where), args)
                self._keep([fault], point, differed=expected is None or would != expected)
        if not wrong:
            return expected.result() if expected else healthy(*args)
        act = healthy
        for fault in wrong:
            act = _around(fault.replacements[point], act, where)
        outcome: Any = None
        try:
            given = act(*args)
            outcome = _Outcome(given)
        except (AttributeError, NameError, TypeError) as error:
            names = ", ".join(fault.name for fault in wrong)
            raise FaultError(f"the seeded fault {names} is itself wrong at {point.name}: {error!r}") from error
        except Exception as error:
            outcome = _Outcome(raises=repr(error))
            raise
        finally:
            self._keep(wrong, point, differed=expected is None or outcome != expected)
        return given

    def _keep(self, faults: list[Fault], point: Point, *, differed: bool) -> None:
        for touch in [Touch(fault.name, point.name, differed) for fault in faults]:
            if touch not in self.touches:
                self.touches.add(touch)
                self.note(touch)


@dataclass(frozen=True)
class _Outcome:
    """What a function gave, as a copy that stays as it is, or raised."""

    gives: Any = None
    raises: str = ""
    original: Any = field(default=None, compare=False)
    error: Exception | None = field(default=None, compare=False)

    def result(self) -> object:
        """Return it, or raise it, again."""
        if self.error is not None:
            raise self.error
        return self.original


def _outcome(act: Callable[..., Any], args: tuple[Any, ...]) -> _Outcome:
    """Return what a function gives or raises."""
    try:
        given = act(*args)
    except Exception as error:  # noqa: BLE001 - it is raised again where the function is called in earnest
        return _Outcome(raises=repr(error), error=error)
    return _Outcome(copy.deepcopy(given), original=given)


def _again(known: _Outcome, healthy: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a function that does what ``healthy`` did, without doing it again where the arguments are the same."""

    def act(*given: object) -> object:
        if len(given) != len(args) or any(one is not other for one, other in zip(given, args, strict=True)):
            return healthy(*given)
        if known.error is not None:
            raise known.error
        return copy.copy(known.gives)

    return act


def _around(replacement: Callable[..., Any], healthy: Callable[..., Any], where: Where) -> Callable[..., Any]:
    def act(*args: Any) -> Any:  # noqa: ANN401 - as varied as the injection points
        return called(replacement, healthy, *args, where=where)

    return act


def called(replacement: Callable[..., Any], healthy: Callable[..., Any], *args: Any, where: Where) -> Any:  # noqa: ANN401 - as varied as the injection points
    """Call a replacement, with ``where`` if it has a keyword-only parameter of that name."""
    try:
        asks = inspect.signature(replacement).parameters.get("where")
    except ValueError:  # a built-in without one
        asks = None
    known = {"where": where} if asks is not None and asks.kind is asks.KEYWORD_ONLY else {}
    return replacement(healthy, *args, **known)
