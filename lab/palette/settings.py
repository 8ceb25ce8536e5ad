"""What a lab Palette endpoint is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE_SIZE = 50
"""Items of a page at most, whatever a client asks for (the API documentation: default and maximum are 50)."""


Masks = Literal["refuse", "unchanged", "clear"]


@dataclass(frozen=True)
class Strictness:
    """How unfriendly the endpoint is. The default is quick and healthy; :meth:`strict` is a bad day at a real site.

    ``share_*`` are the shares (0 to 1) of requests answered with that trouble *before* they do anything, drawn from
    ``seed``. ``state_delay_s`` is how many seconds a cluster's new state takes to show. ``mask_more`` also masks
    certificates and macro values; ``masks`` is what becomes of a mask that comes back in values: it is refused or taken
    for "unchanged" (the vendor's own client sends back what it read); with ``clear`` nothing is masked at all;
    ``free_text_events`` words events so that nobody can rely on fixed texts. ``deploy_s`` and ``repave_s`` are seconds
    that a host waits before it is told to deploy or to repave, as real hosts take minutes, and no processor works.
    """

    rate_limits: bool = False
    seed: int = 0
    share_429: float = 0.0
    share_5xx: float = 0.0
    share_resets: float = 0.0
    state_delay_s: float = 0.0
    mask_more: bool = False
    masks: Masks = "refuse"
    free_text_events: bool = False
    deploy_s: float = 0.0
    repave_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("share_429", "share_5xx", "share_resets"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"Strictness.{name}: {share} is no share; give a number from 0 to 1")
        for name in ("state_delay_s", "deploy_s", "repave_s"):
            if (seconds := getattr(self, name)) < 0:
                raise ValueError(f"Strictness.{name}: {seconds} is negative; give seconds, 0 for at once")

    @classmethod
    def strict(cls, seed: int) -> Strictness:
        """Everything that a client of a real site has to live with, repeatable by ``seed``."""
        return cls(
            rate_limits=True,
            seed=seed,
            share_429=0.02,
            share_5xx=0.02,
            share_resets=0.01,
            state_delay_s=0.5,
            mask_more=True,
            free_text_events=True,
        )


@dataclass(frozen=True)
class Settings:
    """Who may talk to the endpoint, what exists in it from the start, and its time-outs (all in seconds).

    ``registration_tokens`` belong to the first project. ``users`` maps an e-mail address to its password for
    ``/v1/auth/authenticate``. ``heartbeat_s`` is how long a host may be silent before it counts as unhealthy (ten
    minutes at a real site). ``force_delete_after_s`` is how long a cluster must have been ``Deleting`` before
    ``forceDelete`` is accepted (15 minutes at a real site).
    """

    api_keys: tuple[str, ...]
    projects: tuple[str, ...] = ("Default",)
    registration_tokens: tuple[str, ...] = ()
    users: Mapping[str, str] = field(default_factory=dict)
    strictness: Strictness = field(default_factory=Strictness)
    heartbeat_s: float = 5.0
    long_poll_s: float = 25.0
    session_s: float = 15 * 60.0
    force_delete_after_s: float = 0.0
    agent_version: str = "4.9.0"
    kubernetes: bool = False
    """Whether clusters run a Kubernetes, for which they are given certificates."""

    def __post_init__(self) -> None:
        if not self.api_keys or not all(self.api_keys):
            raise ValueError("Settings.api_keys: there is no key; give at least one that is not empty")
        if not self.projects or len(set(self.projects)) != len(self.projects):
            raise ValueError(f"Settings.projects: {self.projects} must hold at least one name and none twice")
