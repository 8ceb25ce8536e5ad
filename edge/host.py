"""The words a suite uses about an Edge host."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge import access as ssh
from edge.access import CommandRefusedError, HostUnreachable, SshAccess
from edge.boot import READ, BootFacts, read_facts
from edge.conversation import WITHIN
from edge.diagnostics import collect
from edge.layouts import DETECT, HostLayout, read_layout
from edge.search import EVERYTHING, search
from waiting import growing, looks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testinfra.backend.base import CommandResult
    from testinfra.host import Host

#: What a command that was refused ends with; a shell that a signal ends has more than that.
_REFUSED = range(1, 126)
#: Seconds between two looks at a host that answers and has not booted anew: the first, and the longest.
LOOK_PAUSES = (0.1, 5.0)


@dataclass(frozen=True)
class Unit:
    """A systemd unit. testinfra's service was tried: for a host that answers oddly it finds another init, or none."""

    host: EdgeHost
    name: str

    @property
    def is_running(self) -> bool:
        """Whether it is active. Raises HostUnreachable."""
        return bool(self.host.run("systemctl is-active %s", self.name).rc == 0)


class EdgeHost:
    """An Edge host over SSH; nouns are looked up when they are used.

    ``back_within`` is how many seconds a reboot may take before the host counts as lost.
    """

    def __init__(self, uid: str, access: SshAccess, *, back_within: float = 900.0) -> None:
        self.uid = uid
        self.access = access
        self._back_within = back_within

    def __repr__(self) -> str:
        return f"<EdgeHost {self.uid} at {self.access.address}>"

    @cached_property
    def testinfra(self) -> Host:
        """The host as testinfra sees it, for everything that has no word of its own here."""
        return self.access.testinfra_host()

    def run(self, command: str, *words: str) -> CommandResult:
        """Run a shell command; ``%s`` takes the quoted ``words``; its status is the caller's to judge.

        Raises HostUnreachable.
        """
        done: CommandResult = self.testinfra.run(command, *words)
        return done

    def feed(self, text: str, command: str, *words: str, within: float = WITHIN) -> str:
        """Run a shell command that reads ``text``, a secret for instance; return what it printed.

        Raises HostUnreachable; CommandRefusedError when the command fails.
        """
        return ssh.feed(self.access, text, command, *words, within=within)

    def noise(self) -> str:
        """Return what the login shell prints before each command. Raises HostUnreachable."""
        return ssh.noise(self.access)

    def unit(self, name: str) -> Unit:
        """Return a systemd unit."""
        return Unit(self, name)

    def file(self, path: str) -> Any:  # noqa: ANN401 - testinfra makes its classes at run time
        """Return a file (``.exists``, ``.mode``, ``.user``, ``.content_string``)."""
        return self.testinfra.file(path)

    def layout(self) -> HostLayout:
        """Find out mode and distribution, and with them where things lie. One round trip; a repave may change it.

        Raises HostUnreachable, edge.layouts.UnknownLayoutError.
        """
        try:
            return read_layout(str(self.run(DETECT).stdout))
        except ValueError as error:
            raise self._nonsense(error) from None

    @property
    def agent_unit(self) -> str:
        """The unit of Palette's agent. Raises HostUnreachable, UnknownLayoutError, as all words of the layout do."""
        return self.layout().of_mode.agent_unit

    @property
    def runtime_unit(self) -> str:
        """The unit in which the node's container runtime runs."""
        return self.layout().runtime_unit

    @property
    def crictl(self) -> str:
        """The command that asks the node's container runtime."""
        return self.layout().crictl

    @property
    def user_data_folder(self) -> str | None:
        """Where further user data is read from, file after file; None where there is one file only."""
        return self.layout().of_mode.user_data_folder

    def boot(self) -> BootFacts:
        """Look at the running boot: its identity, slot and image. One round trip. Raises HostUnreachable."""
        try:
            return read_facts(str(self.run(READ).stdout))
        except ValueError as error:  # cut short, as by a host that goes down
            raise self._nonsense(error) from None

    def _nonsense(self, error: ValueError) -> HostUnreachable:
        return HostUnreachable(f"{self.access}: {error}")

    def journal(self, *, unit: str | None = None) -> str:
        """Return the journal's messages, of one unit or of all, of all boots."""
        words = ["journalctl", "--no-pager", "--quiet", "--output=short-iso"]
        words += ["--unit", unit] if unit else []
        return str(self.run(" ".join(["%s"] * len(words)), *words).stdout)

    def processes(self) -> str:
        """Return every process with its full arguments, as anybody on the host can read them."""
        return str(self.run("ps -ww -eo args || ps w").stdout)

    def shown(self, words: Sequence[str]) -> list[str]:
        """Return where on the host everybody can read one of the words: the journal, processes, units, mounts, files.

        Raises HostUnreachable; BlindSearchError when the search does not find what was planted for it.
        """
        return search(self, words)

    def kept(self, words: Sequence[str]) -> list[str]:
        """Return where root can read one of the words, also in environments of processes. Raises as :meth:`shown`."""
        return search(self, words, EVERYTHING)

    def reboot(self) -> BootFacts:
        """Reboot, wait for the host to be gone and back, and give the new boot. Raises HostUnreachable."""
        return self._boot_anew("systemctl reboot")

    def cut_power(self) -> BootFacts:
        """Start the host anew as a power cut does: nothing is stopped or written before. Raises as :meth:`reboot`."""
        return self._boot_anew("(sleep 1; systemctl reboot --force --force) > /dev/null 2>&1 &")

    def _boot_anew(self, command: str) -> BootFacts:
        before = self.boot()
        # the connection may be cut before or after the command returns, and a signal may end it: all are right
        with suppress(HostUnreachable):
            done = self.run(command)
            if done.rc in _REFUSED:
                raise CommandRefusedError(f"{self.access}: '{command}' ends with {done.rc}: {done.stderr.strip()}")
        return self.wait_for_boot_after(before)

    def wait_for_boot_after(self, before: BootFacts) -> BootFacts:
        """Wait for a boot other than ``before``, one budget for going down and coming up. Raises HostUnreachable."""
        said = "the boot is still the one before"
        for left in looks(self._back_within, growing(*LOOK_PAUSES).__next__):
            try:
                facts = self.boot()
            except HostUnreachable as error:  # it went down while we read, or gave what cannot be read
                said = str(error)
                ssh.wait_until_reachable(self.access, left)
            else:
                if facts.boot_id != before.boot_id:
                    return facts
        raise HostUnreachable(f"{self.uid}: no new boot within {self._back_within:g} s: {said}")

    def wait_until_reachable(self) -> None:
        """Wait until the host answers. Raises HostUnreachable."""
        ssh.wait_until_reachable(self.access, self._back_within)

    def diagnostics(self, folder: Path) -> list[Path]:
        """Collect what helps to understand a failure, also of a host that is lost; return the files written."""
        return collect(self, folder)

    def close(self) -> None:
        """End the shared SSH connection."""
        self.access.close()
