"""How Palette is waited for, and the one place where time-outs are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from palette.clock import Clock
from palette.errors import PaletteError
from waiting import growing, looks

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SPANS_TOLD = 12
#: How many times as long as usual a wait must have taken for that to be named.
OVERLOADED = 1.2


@dataclass(frozen=True)
class Timeouts:
    """Every time-out of this package, in seconds, with a value that suits real hosts.

    Sources of the values: the vendor's Terraform provider (60 minutes for create, update and delete of an Edge
    cluster; forced deletion after 20), docs/palette.md §7.1.
    """

    connect: float = 10.0
    """Until a TCP connection and its TLS handshake stand."""

    answer: float = 30.0
    """Until Palette begins to answer, and again until its answer is complete."""

    cluster_running: float = 3600.0
    """From the creation of a cluster until it is Running and healthy."""

    repave: float = 3600.0
    """From moving a cluster to a profile version until it is Running and healthy on it."""

    repave_pending: float = 300.0
    """From moving a cluster to a profile version until Palette asks for approval."""

    stale_state: float = 120.0
    """How long Palette may go on telling the state from before a change, such as Running when a repave has begun."""

    lease_settle: float = 10.0
    """How long a run's name must have stood on an Edge host before the run believes that it has the host."""

    cluster_deleted: float = 3600.0
    """From the deletion of a cluster until it is gone."""

    force_delete_after: float = 1200.0
    """How long a cluster stays in Deleting before it is deleted by force (Palette refuses before 15 minutes)."""

    edge_host_ready: float = 900.0
    """Until an Edge host is ready and healthy (again), for instance after its cluster was deleted, or lets us log in
    after a repave that Palette calls done; in that case it is half of ``repave`` at most."""

    outage: float = 300.0
    """How long Palette itself may fail or be out of reach during a wait before the wait is given up."""

    first_look: float = 2.0
    """The first pause between two looks of a wait."""

    slowest_look: float = 10.0
    """The longest pause between two looks of a wait."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be waited for."""
        for name, seconds in vars(self).items():
            if not seconds > 0:
                raise ValueError(f"Timeouts.{name} is {seconds}; write seconds above 0")


@dataclass
class _Seen:
    """States in the order they were seen, equal neighbours as one span."""

    spans: list[tuple[str, float, float]] = field(default_factory=list)

    def add(self, state: str, at: float) -> None:
        if self.spans and self.spans[-1][0] == state:
            state, begin, _ = self.spans.pop()
            self.spans.append((state, begin, at))
        else:
            self.spans.append((state, at, at))

    def __str__(self) -> str:
        told = [f"{state} ({begin:.1f}-{end:.1f} s)" for state, begin, end in self.spans[-_SPANS_TOLD:]]
        return ("… -> " if len(self.spans) > _SPANS_TOLD else "") + " -> ".join(told)


class WaitError(Exception):
    """What was waited for did not come. ``states`` holds ``(state, first seen, last seen)``, seconds into the wait."""

    def __init__(self, what: str, reason: str, states: list[tuple[str, float, float]], told: str) -> None:
        self.what = what
        self.reason = reason
        self.states = states
        super().__init__(f"waited for {what}: {reason}; states seen: {told}")


class WaitTimeoutError(WaitError):
    """The time was up."""


class WaitAbortedError(WaitError):
    """A state was seen from which the awaited one will not come."""


@dataclass(frozen=True)
class Wait:
    """A way to wait: how long outages are borne, how the pauses grow, which clock counts.

    ``slowness`` is how many times as long as usual everything takes at the moment; a time-out grows with it.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    clock: Clock = field(default_factory=Clock)
    slowness: Callable[[], float] = lambda: 1.0

    def until(
        self,
        what: str,
        look: Callable[[], T],
        done: Callable[[T], bool],
        *,
        within: float,
        state: Callable[[T], str] = str,
        abort: Callable[[T], str | None] | None = None,
    ) -> T:
        """Look until ``done`` and give what was seen then.

        ``state`` puts what was seen into a word for the history; ``abort`` gives a reason to stop early, or None.
        Failures of Palette itself are borne for ``Timeouts.outage`` seconds, then raised; so is one that lasts when the
        time is up.

        Raises WaitTimeoutError, WaitAbortedError, and what ``look`` raises for other reasons.
        """
        began, seen, trouble = self.clock.now(), _Seen(), None
        good_until = began
        pause = growing(self.timeouts.first_look, self.timeouts.slowest_look).__next__
        usual = _Usual(self)
        for _ in looks(within, pause, now=usual.now, sleep=usual.sleep):
            found, trouble = _looked(look)
            now = self.clock.now()
            seen.add(_told(found, trouble, state), now - began)
            if trouble is None:
                good_until = now
                if done(found[0]):
                    return found[0]
                if abort is not None and (reason := abort(found[0])) is not None:
                    raise WaitAbortedError(what, f"given up after {now - began:.1f} s: {reason}", seen.spans, str(seen))
            elif now - good_until > self.timeouts.outage:
                raise trouble
        if trouble is not None:
            raise trouble
        took = self.clock.now() - began
        longer = f" ({took:.0f} s on an overloaded machine)" if took > OVERLOADED * usual.now() else ""
        raise WaitTimeoutError(what, f"not so within {within:g} s{longer}", seen.spans, str(seen))


class _Usual:
    """Seconds that count less while everything takes longer than usual."""

    def __init__(self, wait: Wait) -> None:
        self._wait, self._counted, self._last = wait, 0.0, wait.clock.now()

    def now(self) -> float:
        now = self._wait.clock.now()
        self._counted, self._last = self._counted + (now - self._last) / self._wait.slowness(), now
        return self._counted

    def sleep(self, seconds: float) -> None:
        self._wait.clock.sleep(seconds * self._wait.slowness())


def _looked(look: Callable[[], T]) -> tuple[tuple[T, ...], PaletteError | None]:
    try:
        return (look(),), None
    except PaletteError as error:
        if not error.is_infrastructure:
            raise
        return (), error


def _told(found: tuple[T, ...], trouble: PaletteError | None, state: Callable[[T], str]) -> str:
    return state(found[0]) if trouble is None else f"Palette {trouble.status or 'unreachable'}"
