"""Which worker runs what next, on which Edge hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xdist.workermanage import WorkerController

    from harness.sites.site_file import SiteFile


#: Workers on a site at most.
MOST_SITE_WORKERS = 32


def most_workers(site: SiteFile) -> int:
    """Return how many workers a site has room for: a host, a port for the registry and a virtual IP for each."""
    ports = len(site.registry_ports) or MOST_SITE_WORKERS
    vips = len(site.cluster.vips) or MOST_SITE_WORKERS
    hosts = MOST_SITE_WORKERS if site.sought else len(site.edge_hosts)
    return max(1, min(ports, vips, hosts, MOST_SITE_WORKERS))


@dataclass
class Queue:
    """Hands the cases out in their order; a worker for which none is left ends at once.

    Cases of one shared cluster are handed out together: ``sizes`` is how many each hand-out has, one where it is empty.
    On a site every hand-out has Edge hosts to itself, as many as it ``needs``, all at once or none; what needs several
    is waited for and not overtaken. ``tell`` tells a worker its hosts, ``clear`` returns those of a lost worker's that
    are free again. The schedulers of pytest-xdist were tried: each gives a worker two cases in advance.
    """

    cases: list[str]
    sizes: list[int] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)
    hosts: list[str] | None = None
    tell: Callable[[str, list[str]], None] = field(default=lambda _worker, _hosts: None)
    clear: Callable[[str, list[str]], list[str]] = field(default=lambda _worker, hosts: hosts)
    lent: dict[str, list[str]] = field(default_factory=dict)
    nodes: list[WorkerController] = field(default_factory=list)
    running: dict[WorkerController, list[int]] = field(default_factory=dict)
    collection_is_completed: bool = True
    leaving: set[str] = field(default_factory=set)
    _begun: bool = False
    _needed: dict[WorkerController, int] = field(default_factory=dict)
    _ready: set[WorkerController] = field(default_factory=set)
    _over: set[WorkerController] = field(default_factory=set)
    _replacements: int = 0  # that pytest-xdist has begun for lost workers
    _waiting: list[tuple[list[int], int]] = field(init=False)

    def __post_init__(self) -> None:
        numbers, sizes = iter(range(len(self.cases))), self.sizes or [1] * len(self.cases)
        needs = self.needs or [1] * len(sizes)
        self._waiting = [(list(islice(numbers, size)), need) for size, need in zip(sizes, needs, strict=True)]

    @property
    def has_pending(self) -> bool:
        """Whether there are cases that no worker has been given."""
        return bool(self._waiting)

    @property
    def tests_finished(self) -> bool:
        """Whether nothing runs, and nothing will."""
        able = self._replacements or any(node.gateway.id not in self.leaving for node in self.nodes)
        return self._begun and not self.running and not (self.has_pending and able)

    def add_node(self, node: WorkerController) -> None:
        """Take a worker that begins."""
        self.nodes.append(node)
        self._replacements = max(0, self._replacements - 1)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take a worker that has collected its cases."""
        if list(collection) != self.cases:
            raise RuntimeError(f"worker {node.gateway.id} collected other cases than the run has")
        self._ready.add(node)

    def schedule(self) -> None:
        """Send each idle worker its next cases."""
        for node in [each for each in self.nodes if each in self._ready and each not in self.running]:
            if not self.has_pending or node.gateway.id in self.leaving or node.shutting_down:
                node.shutdown()
                self._ready.remove(node)
                self._over.add(node)
                continue
            given, needed = self._waiting[0]
            if not self._lend(node.gateway.id, needed):
                break
            self._waiting.pop(0)
            self.running[node], self._needed[node], self._begun = list(given), needed, True
            node.send_runtest_some(given)

    def _lend(self, worker: str, needed: int) -> bool:
        """Lend a worker its hosts, if so many are free. A site with fewer lends all it has."""
        if self.hosts is None:
            return True
        needed = min(needed, len(self.hosts) + sum(map(len, self.lent.values())))
        if len(self.hosts) < needed:
            return False
        self.lent[worker], self.hosts[:needed] = self.hosts[:needed], []
        self.tell(worker, self.lent[worker])
        return True

    def set_aside(self, host: str) -> bool:
        """Lend a host no more, unless it is the last one; return whether it is so."""
        rest = [*(self.hosts or ()), *(each for lent in self.lent.values() for each in lent)]
        if host not in rest or len(rest) == 1:
            return False
        for hosts in (self.hosts or [], *self.lent.values()):
            if host in hosts:
                hosts.remove(host)
        return True

    def _take_back(self, worker: str, *, cleared: bool = True) -> None:
        hosts = self.lent.pop(worker, [])
        if self.hosts is not None and hosts:
            self.hosts += hosts if cleared else self.clear(worker, hosts)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Note that a case is over; a worker that has done all of its cases has the next ones."""
        _ = item_index, duration
        if len(self.running.get(node, ())) > 1:
            self.running[node].pop(0)
            return
        self.running.pop(node, None)
        self._take_back(node.gateway.id)
        self.schedule()

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker that has ended; return the case that it ran, unless it ended as it was told to.

        What it had not begun yet is given to the next worker.
        """
        if node not in self.nodes:
            raise KeyError(node)
        self.nodes.remove(node)
        self._ready.discard(node)
        left, needed = self.running.pop(node, []), self._needed.pop(node, 1)
        if left[1:]:
            self._waiting.insert(0, (left[1:], needed))
        self._take_back(node.gateway.id, cleared=False)
        if node in self._over or node.gateway.id in self.leaving:
            return None
        self._replacements += 1
        return self.cases[left[0]] if left else None
