"""Whether what a verdict rests on was alive: registry, witness, Edge hosts, Palette.

Asked before a failure is told of the product, and before a case passes that expected one: a pull that died of a lost
registry looks like a pull that was refused. What was gone makes the case *dead*.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import requests

from bounded.failures import connection_failure
from edge import HostUnreachable
from edge.layouts import AGENT_UNITS
from harness.errors import DISK, is_of_the_machine
from palette.errors import PaletteError
from registry.client import RegistryClient
from registry.existing import ExistingRegistry
from registry.manifests import RegistryError
from waiting.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edge import EdgeHost
    from harness.clusters import Cluster
    from harness.evidence import Evidence
    from harness.private_registry import SiteRegistry, SiteWitness
    from harness.sites.site import Site

#: Seconds that registry and Palette have for an answer.
ANSWER = 15.0
#: The question is asked once: what it answers now is wanted.
ONCE = RetryPolicy(attempts=1)
#: Seconds that a host has at most: it may be on its way up from a reboot.
LONGEST_BOOT = 60.0
SERVER_ERROR = 500
#: Statuses with which a registry asks for patience: a quota of pulls, a proxy that waited too long.
PATIENCE = frozenset({408, 425, 429})
#: Seconds by which a host's clock may differ: certificates made here are good for a day before.
CLOCK = 3600.0
#: Says the time, whether the agent is active, and the words of a full or broken disk where files are written; then the
#: last words of the boot before.
LOOK = (
    "date +'clock %s'; "
    f"systemctl is-active {' '.join(AGENT_UNITS)} | tr '\\n' ' '; echo; for folder in /tmp /var/lib /usr/local; do "
    'file=$(mktemp -p "$folder" 2>&1) && { head -c 65536 /dev/zero 2>&1 > "$file"; rm -f "$file"; } || echo "$file"; '
    f"done 2>&1 | grep -m 1 -E '{'|'.join(DISK)}'; "
    "echo ---; journalctl -q --no-pager -b -1 -n 1 -o cat 2>/dev/null; true"
)
_CLOCK = re.compile(r"^clock ([0-9]{1,12})\n", re.MULTILINE)
_NO_ANSWER = (HostUnreachable, PaletteError, RegistryError, requests.RequestException, ValueError, LookupError, OSError)
_ALIVE = {"active", "activating", "reloading"}
#: How the journal of a boot ends that was shut down.
_ORDERLY = "Journal stopped"


@dataclass
class Liveness:
    """Asks registry and Palette at the end of a case; hosts are asked before their cluster is deleted."""

    site: Site
    registry: SiteRegistry | None = None

    def look(self, evidence: Evidence, *, passed: bool = False) -> list[str]:
        """Return a line for each thing that does not answer, or did not during the case.

        A case that ``passed`` has seen the very failure that it expects, so a runtime that came up late does not count.
        """
        questions = {"Palette": self._palette}
        if self.registry is not None:
            questions[f"the registry at {self.registry.address}"] = self._registry
        runtimes = [] if passed else lost_runtimes(evidence)
        return [*_asked(questions, ANSWER), *lost_requests(evidence), *runtimes]

    def _palette(self) -> str:
        self.site.palette.tenant.service_version("palette")
        return ""

    def _registry(self) -> str:
        """Ask as a host does: through the witness where there is one. A refused login is an answer."""
        assert self.registry is not None
        found = self.registry
        client = (
            RegistryClient(found.address, authorities=found.authority.pem, retry=ONCE)
            if found.has_witness
            else found.private.client()
        )
        with client:
            try:
                client.login()
            except RegistryError as error:
                if error.status >= SERVER_ERROR or not error.status:
                    raise
        return _locked(found.private) if isinstance(found.private, ExistingRegistry) else ""


def _locked(existing: ExistingRegistry) -> str:
    """Return which accounts are refused now that were good at the beginning: some registries lock them."""
    refused = existing.check()
    why = "it may have locked an account after wrong passwords; loosen that rule for the accounts of a run"
    return f"refuses a right login: {refused[0]}; {why}" if refused else ""


def hosts_gone(cluster: Cluster) -> list[str]:
    """Return a line for each host of a cluster that cannot be reached or does not work."""
    ready = cluster.site.file.timeouts.edge_host_ready
    began = cluster.phases[0].began if cluster.phases else datetime.now(UTC)
    questions = {f"Edge host {host.uid}": (lambda host=host: _host(host, began)) for host in cluster.hosts}
    return _asked(questions, min(ready, LONGEST_BOOT), patient=True)


def _host(host: EdgeHost, began: datetime) -> str:
    asked = time.time()
    output = str(host.run(LOOK).stdout)
    if (clock := _CLOCK.match(output)) and not asked - CLOCK < int(clock[1]) < time.time() + CLOCK:
        return f"has another time, {int(clock[1]) - asked:+.0f} s: certificates are refused there"
    now, _, before = _CLOCK.sub("", output).partition("---\n")
    states, _, trouble = now.strip().partition("\n")
    if trouble:
        return f"has a full or broken disk: {trouble}"
    if not _ALIVE & set(states.split()):
        return f"has no agent: {' and '.join(AGENT_UNITS)} are {' and '.join(states.split())}"
    return _lost_power(host, before.strip(), began)


def _lost_power(host: EdgeHost, last: str, began: datetime) -> str:
    """Return that a host lost its power since the cluster began, where its journal of the boot before just breaks off.

    A reboot that somebody asked for ends the journal in an orderly way; a journal that is not kept tells nothing.
    """
    boot = host.boot().began if last and _ORDERLY not in last else None
    if boot is None or boot < began:
        return ""
    return f"lost its power, or crashed, before {boot:%H:%M:%S} UTC: the journal of the boot before breaks off"


def lost_requests(evidence: Evidence) -> list[str]:
    """Return a line for the first request of the case that the registry could not serve, for each witness."""
    return [line for witness in _witnesses(evidence) for line in _lost(witness, evidence.case)]


def _witnesses(evidence: Evidence) -> Iterable[SiteWitness]:
    return (witness for witness in (evidence.witness, *evidence.other_witnesses) if witness is not None)


def _lost(witness: SiteWitness, case: str) -> list[str]:
    for pull in witness.seen.pulls(case=case):
        if pull.status >= SERVER_ERROR or pull.status in PATIENCE or pull.ended.startswith("the registry"):
            what = f"{pull.method} {pull.repository or '/v2/'} {pull.reference}".strip()
            return [f"the registry did not serve {what}: {pull.status or 'no answer'} {pull.ended}".rstrip()]
    return []


def lost_runtimes(evidence: Evidence) -> list[str]:
    """Return a line where a node had no container runtime to pull with, as its events say."""
    messages = (event.message for cluster in evidence.clusters for event in cluster.events)
    found = next((message for message in messages if is_of_the_machine(message)), "")
    return [f"a node's container runtime does not serve images: {found}"] if found else []


def _asked(questions: Mapping[str, Callable[[], str]], within: float, *, patient: bool = False) -> list[str]:
    """Ask all at once; return what is wrong with each that gave no good answer in time.

    ``patient`` asks again until the time is up, as is right for what may be on its way up.
    """
    answers: dict[str, str] = {}

    def ask(name: str, question: Callable[[], str], over: threading.Event) -> None:
        while True:
            try:
                answers[name] = question()
            except _NO_ANSWER as error:
                known = isinstance(error, requests.RequestException)
                answers[name] = f"does not answer: {connection_failure(error).message if known else error}"
            if not answers[name] or not patient or over.wait(0.5):
                return

    over = threading.Event()
    threads = [
        threading.Thread(target=ask, args=(name, question, over), daemon=True) for name, question in questions.items()
    ]
    end = time.monotonic() + within
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    over.set()
    told = {name: answers.get(name, f"does not answer within {within:g} s") for name in questions}
    return [f"{name} {wrong}" for name, wrong in told.items() if wrong]
