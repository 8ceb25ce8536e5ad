"""A worker: a session of pytest-xdist's in a process of its own, with a lab of its own; the controller records.

What it has to say goes to the controller over an execnet channel: records, secrets for the leak gate, phases of hosts.
Nothing of that is ever in a file, and a worker that is killed loses the case that it runs, and no other.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from reports.records import CaseFinished, Record, to_json

if TYPE_CHECKING:
    from harness.clusters import Cluster
    from harness.run import Run

#: Where the controller's words stand in what pytest-xdist hands to a worker.
KEY = "conformance"


def given(config: pytest.Config) -> dict[str, Any] | None:
    """Return what the controller gave this worker; None where the session is no worker of a conformance run."""
    found: dict[str, Any] | None = getattr(config, "workerinput", {}).get(KEY)
    return found


@dataclass
class Wire:
    """The way to the controller; it takes records as a journal does, and phases as progress does."""

    channel: Any
    run: Run | None = None
    hosts: list[str] = field(default_factory=list)
    _facts: dict[str, str] = field(default_factory=dict)
    _secrets: int = 0

    @classmethod
    def of(cls, config: pytest.Config) -> Wire | None:
        """Return the wire of a worker; None in a session that is none."""
        if (words := given(config)) is None:
            return None
        if _WIRE not in config.stash:
            wire = config.stash[_WIRE] = cls(words["wire"])
            wire.channel.setcallback(wire.lend)
        return config.stash[_WIRE]

    def lend(self, message: str) -> None:
        """Take the Edge hosts that the next cases may use; the controller sends them before the cases."""
        self.hosts = json.loads(message)

    def say(self, message: str) -> None:
        """Have the controller say something on the terminal."""
        self._send(("says", message))

    def begin(self, case: str) -> None:
        """Report that a case begins."""
        self._send(("begins", case))

    def phase(self, cluster: Cluster, name: str) -> None:
        """Report a phase of a cluster's hosts, as a site's watcher."""
        for host in cluster.hosts:
            self._send(("phase", (host.uid, name)))

    def write(self, record: Record) -> None:
        """Send a case's record, after what the controller must know before it writes it."""
        self._send_news()
        if isinstance(record, CaseFinished):
            self._send(("record", to_json(record)))

    def close(self) -> None:
        """Do nothing: the channel ends with the process."""

    def end(self, left_behind: list[str]) -> None:
        """Send the rest, when everything is cleared."""
        self._send_news()
        self._send(("left behind", left_behind))

    def leave(self, why: str, code: int) -> None:
        """Report that this worker ends before its time."""
        self._send(("leaves", (why, code)))

    def _send(self, message: tuple[str, Any]) -> None:
        with suppress(OSError):  # the controller is gone: this worker is told to end at this very moment
            self.channel.send(json.dumps(message))  # execnet refuses text that has no UTF-8

    def _send_news(self) -> None:
        if self.run is None:
            return
        for known in self.run.protected[self._secrets :]:
            self._send(("secret", (known.name, known.secret.reveal())))
        self._secrets = len(self.run.protected)
        if self.run.facts != self._facts:
            self._facts = dict(self.run.facts)
            self._send(("facts", (self._facts, sorted(self.run.features))))


_WIRE = pytest.StashKey[Wire]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take from the controller what it has chosen already: level, seed, and that this is no new run."""
    if (words := given(config)) is None:
        return
    option = config.option
    option.resume = option.key = option.budget = None
    option.level, option.hypothesis_seed = words["level"], str(words["seed"])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the cases that the controller chose, in its order."""
    if (words := given(config)) is None:
        return
    found = {item.nodeid: item for item in items}
    items[:] = [found[case] for case in words["cases"]]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Run the cases that the controller sends, one at a time.

    The loop of pytest-xdist was tried: its workers do not begin a case before they have the next one, to know which
    fixtures may stay. Cases have fixtures for themselves and for the session only, so a long case holds no other back.
    """
    if (wire := Wire.of(session.config)) is None:
        return None
    inner = next(each for each in session.config.pluginmanager.get_plugins() if hasattr(each, "torun"))
    inner.channel.setcallback(lambda said: inner.handle_command(said) if said else inner.torun.put(None), None)
    follows: Any = SimpleNamespace(listchain=session.listchain)
    try:
        while isinstance(number := inner.torun.get(), int):
            item, began = session.items[number], time.perf_counter()
            inner.item_index = number
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=follows)
            inner.sendevent("runtest_protocol_complete", item_index=number, duration=time.perf_counter() - began)
            if session.shouldfail or session.shouldstop:
                break
    except (KeyboardInterrupt, pytest.exit.Exception) as ended:  # noqa: TID251 - it is caught, not raised
        wire.leave(str(ended) or "it was told to end", getattr(ended, "returncode", pytest.ExitCode.INTERRUPTED))
        raise
    return True


def place_of(config: pytest.Config) -> dict[str, Any]:
    """Return the directory of the run that this worker is part of, and its name in it, such as ``gw0``."""
    name = config.workerinput["workerid"]  # type: ignore[attr-defined] # of pytest-xdist
    return {"folder": Path((given(config) or {})["folder"]), "worker": name}
