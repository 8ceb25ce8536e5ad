"""What the agent tells Palette: its states, in order, and events in a person's words."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.agent import places, slots
from lab.agent.channel import PaletteRefused, PaletteUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.agent.channel import Channel

log = logging.getLogger("stylus")

#: Seconds between two tries to deliver a report while Palette is away.
AGAIN = 0.2


@dataclass(frozen=True)
class Reporter:
    """Delivers the reports of one host."""

    uid: str
    channel: Channel
    edit: Callable[[dict[str, Any]], dict[str, Any] | None] = dict
    """Has the last word on a report before it is sent; None is not sent."""

    def state(self, state: str, cluster: dict[str, Any], message: str = "", **more: str) -> None:
        """Report a state of the work on ``cluster``."""
        record: dict[str, Any] = {"state": state, "image": slots.booted().image, "message": message, **more}
        if "generation" in cluster:
            record["generation"] = int(cluster["generation"])
        self._report({"kind": "state", **record, **facts()})

    def idle(self, resets: int) -> None:
        """Report that the host belongs to no cluster and carries nothing of one."""
        self._report({"kind": "state", "state": "idle", "reset": resets, **facts()})

    def event(self, severity: str, reason: str, message: str) -> None:
        """Report an event."""
        self._report({"kind": "event", "severity": severity, "reason": reason, "message": message})

    def pulling(self, cluster: dict[str, Any], image: str, registry: str | None) -> None:
        """Report that a pull begins, and from which private registry."""
        self.state("pulling", cluster)
        source = f" from private registry {registry}" if registry else ""
        self.event("Normal", "Pulling", f'Pulling image "{image}"{source}')

    def pull_failed(self, cluster: dict[str, Any], message: str) -> None:
        """Report that a pull failed, and why."""
        log.error("pull failed: %s", message)
        self.event("Error", "FailedPullImage", f'Failed to pull image "{cluster.get("image", "")}": {message}')
        self.state("failed", cluster, message)

    def trouble(self, cluster: dict[str, Any], message: str) -> None:
        """Report that the host itself stands in the way."""
        self.event("Error", "FailedOnHost", message)
        self.state("failed", cluster, message)

    def heartbeat(self) -> None:
        """Report that the host is there. Raises PaletteUnreachable."""
        self.channel.post(self.path, {"reports": [{"kind": "heartbeat"}]})

    @property
    def path(self) -> str:
        """Where reports go."""
        return f"/lab/agents/{self.uid}/reports"

    def _report(self, record: dict[str, Any]) -> None:
        """Deliver a report, however long Palette is away: the order of reports says what happened."""
        edited = self.edit(record)
        if edited is None:
            return
        record = {**edited, "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        while True:
            try:
                self.channel.post(self.path, {"reports": [record]})
            except PaletteRefused as error:
                log.error("report dropped: %s", error)  # noqa: TRY400 - the message says it all
                return
            except PaletteUnreachable as error:
                log.warning("report kept: %s", error)
                time.sleep(AGAIN)
            else:
                return


def facts() -> dict[str, str]:
    """Return what distinguishes this boot: the digest of its image, its slot, its id."""
    label = "passive" if slots.is_passive_booted() else "active"
    return {"digest": slots.booted().digest, "activeSlot": label, "bootId": boot_id()}


def boot_id() -> str:
    """Return the identity of this boot."""
    return places.BOOT_ID.read_text().strip()
