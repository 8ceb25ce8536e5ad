"""The private registry of a site: started for the run, its witness in front, where the site's hosts reach it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.brief import Brief
from harness.clusters import VacuousPhase
from harness.pull_addresses import PullAddresses, distinct_hosts
from palette.os_layer import ProviderCredentials
from registry.address import RegistryAddress
from registry.classify import UNKNOWN, meaning, narrow
from registry.engine_image import DEFAULT_IMAGE
from registry.pulls import changes
from registry.server import Account, PrivateRegistry
from registry.witness import LOGIN_OF, Witness
from reports.records import PullRecord, utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    import docker

    from engine.debian import Say
    from engine.ownership import Owner
    from harness.clusters import Cluster
    from harness.evidence import Evidence
    from harness.options import Options
    from harness.sites.site_file import SiteFile
    from registry.client import RegistryClient
    from registry.pulls import Pull as Request
    from registry.pulls import Which
    from registry.tls import Authority, ServerCertificate
    from registry.witness import Fronted

#: Names by which node runtimes introduce themselves; everything else that pulls on a host is its agent.
NODE_RUNTIMES = ("containerd", "k3s", "rke2", "cri-o")


@dataclass(frozen=True)
class Diagnosis:
    """What happened to passwords on one path: who pulled, on which hosts, and the transforms that explain it all."""

    puller: str
    hosts: tuple[str, ...]
    transforms: tuple[str, ...]


@dataclass
class SiteWitness:
    """The witness, in the words of a suite: clusters and phases.

    ``at`` stands before every repository in what it tells, for a registry beside the run's own.
    """

    seen: Witness
    at: str = ""

    def pulls(self, cluster: Cluster, phase: str | None = None) -> list[PullRecord]:
        """Return every request that a cluster's hosts sent, in one phase or in all, in their order."""
        return [self._record(pull) for pull in self._requests(cluster, phase)]

    def changes(self, cluster: Cluster, phase: str | None = None) -> list[str]:
        """Return a sentence for each host that presented something else than the profile says; none when all is well.

        Raises:
            VacuousPhase: nothing was pulled at all, so nothing can be said.

        """
        requests = self._requests(cluster, phase)
        if not requests:
            raise VacuousPhase(f"no pull of {cluster.name} reached the registry in phase {phase or 'any'}")
        found = self.seen.changes(cluster.name, **_narrowed(cluster, phase))
        told = (presented_sentence(pull.place, pull.presented.name, pull.phase) for pull in found)
        return list(dict.fromkeys(told))

    def users(self, cluster: Cluster, phase: str | None = None) -> set[str]:
        """Name the users of the configured accounts as which a cluster's hosts pulled.

        An empty user name with an empty password is how some pullers say that they have no login.
        """
        named = (pull for pull in self._requests(cluster, phase) if pull.has_credential)
        return {pull.account for pull in named if pull.presented.username_name != "emptied"}

    def overlapping(self, cluster: Cluster, phase: str) -> list[str]:
        """Return a sentence for each pair of hosts that pulled at the same time."""
        distinct_hosts(pull.place for pull in self._requests(cluster, phase))
        pairs = self.seen.overlapping(cluster.name, phase=phase)
        return [f"hosts {one.place} and {other.place} pulled at the same time" for one, other in pairs]

    def hosts(self, pulls: Sequence[PullRecord]) -> list[str]:
        """Return which hosts pulled, in their order. Raises SharedAddressError where that cannot be told."""
        return distinct_hosts(pull.host for pull in pulls)

    def pulls_of_image(self, reference: str) -> list[PullRecord]:
        """Return every request for an image, of whatever cluster."""
        return [self._record(pull) for pull in self.seen.pulls_of_image(reference)]

    def diagnosis(self, case: str, phase: str) -> list[Diagnosis]:
        """Return for each path of a phase which transforms explain all that a case saw there, over all its examples.

        Passwords that arrived unchanged count too, and pulls that stayed anonymous. A path on which nothing was
        changed, or whose changes no single transform explains, has no diagnosis.
        """
        paths: dict[str, list[Request]] = {}
        for pull in self.seen.pulls(case=case, phase=phase):
            paths.setdefault(puller_of(pull.user_agent), []).append(pull)
        found = (_diagnosis(puller, pulls) for puller, pulls in paths.items())
        return [diagnosis for diagnosis in found if diagnosis.transforms]

    def _requests(self, cluster: Cluster, phase: str | None) -> list[Request]:
        return self.seen.pulls(cluster.name, **_narrowed(cluster, phase))

    def _record(self, pull: Request) -> PullRecord:
        return PullRecord(
            time=utc(pull.at),
            phase=pull.phase,
            puller=puller_of(pull.user_agent),
            user_agent=pull.user_agent,
            host=pull.place,
            repository=f"{self.at}/{pull.repository or 'v2/'}" if self.at else pull.repository or "/v2/",
            reference=pull.reference,
            presented=pull.presented.name,
            meaning=meaning(pull.presented.explanations),
            status=pull.status,
        )


def _diagnosis(puller: str, pulls: list[Request]) -> Diagnosis:
    """Combine what one path presented; a host that never presented anything for a password counts as well."""
    shown = [pull for pull in pulls if pull.has_credential]
    changed = dict.fromkeys(pull.place for pull in shown if pull.presented.password_name not in ("", "intact"))
    silent = [pull.presented for pull in changes(pulls) if not pull.has_credential]
    transforms = narrow((pull.presented for pull in shown), silent) if changed else ()
    return Diagnosis(puller, tuple(changed), transforms)


def _narrowed(cluster: Cluster, phase: str | None) -> Which:
    which: Which = {"phase": phase} if phase else {}
    return which if cluster.since is None else {**which, "since": cluster.since}


@dataclass(repr=False)
class SiteRegistry(Brief):
    """The private registry as suites use it: what is reached at its address passes the witness."""

    private: Fronted
    seen: Witness
    names: tuple[str, ...]
    pulling: PullAddresses = field(default_factory=PullAddresses)

    @property
    def has_witness(self) -> bool:
        """Whether a witness stands in front, so that pulls can be told of as evidence."""
        return True

    @property
    def address(self) -> RegistryAddress:
        """Where hosts reach it."""
        return self.seen.address

    @property
    def addresses(self) -> tuple[RegistryAddress, ...]:
        """Every address under which hosts reach it: by number and by each of its names."""
        port = self.seen.address.port
        return (self.seen.address, *(RegistryAddress(name, port) for name in self.names))

    @property
    def authority(self) -> Authority:
        """Who vouches for it."""
        return self.seen.authority

    @property
    def witness(self) -> SiteWitness:
        """What it saw."""
        return SiteWitness(self.seen)

    def account(self, username: str | None = None, password: str | None = None) -> AbstractContextManager[Account]:
        """Yield an account that may log in while the context lasts; pulls are compared with it."""
        return self.seen.account(username, password)

    def credentials(self, account: Account, **different: Any) -> ProviderCredentials:  # noqa: ANN401 - any field
        """Return the provider credentials of an account, with the authority of the registry."""
        given = ProviderCredentials(str(self.address), account.username, account.password, self.authority.pem or None)
        return replace(given, **different)

    def refusing(self, username: str, password: str, /) -> AbstractContextManager[None]:
        """Expect a login that the registry is to refuse while the context lasts: no failure accuses it."""
        return self.seen.accounts.wrong_on_purpose(username, password)

    def client(self, account: Account | None = None) -> RegistryClient:
        """Return a client of its API, which goes past the witness."""
        return self.seen.client(account)

    def restart(self) -> None:
        """Stop the registry and start it again; content and accounts stay."""
        self.seen.restart()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Take the registry away while the context lasts: connections are refused."""
        self.seen.stop()
        try:
            yield
        finally:
            self.seen.start()

    def presenting(self, certificate: ServerCertificate) -> AbstractContextManager[None]:
        """Present another certificate to the hosts while the context lasts."""
        return self.seen.presenting(certificate)

    def watch(self, cluster: Cluster, phase: str, evidence: Evidence) -> None:
        """Assign requests of a cluster's hosts to a phase from now on; the phase "" is no cluster's."""
        for uid, target in cluster.site.file.edge_hosts.items():
            self.pulling.expect(uid, target.address, target.pull_addresses)
        for host in cluster.hosts:
            self.pulling.learn(host)
        self.seen.know_hosts(self.pulling.names())
        owner = cluster.name if phase else ""
        names = self.pulling.begin(cluster.name, cluster.hosts, over=not phase)
        self.seen.begin(phase, cluster=owner, case=evidence.case, hosts=names)


def presented_sentence(host: str, presented: str, phase: str) -> str:
    """Return what a host presented, as every failure reports it."""
    return f"host {host} presented {presented_words(presented)} at {phase}"


def presented_words(name: str) -> str:
    """Put a classification into words: what became of the password."""
    if name == "anonymous":
        return "no credential"
    if name.startswith("base64-decoded"):
        return name.replace("base64-decoded", "base64-decode(password)", 1)
    if name == "unknown user":
        return "an unknown user name, the password beside it intact,"
    if name.startswith(UNKNOWN):
        return f"an {name.replace(UNKNOWN, f'{UNKNOWN} of the password', 1)}"
    if "user name" in name or name.startswith((LOGIN_OF, "malformed", "other scheme", "unknown")):
        return name
    return f"a value equal to the password {name}"


def puller_of(user_agent: str) -> str:
    """Return ``node`` for a node's runtime, else ``agent``, by how it introduces itself."""
    return "node" if user_agent.lower().startswith(NODE_RUNTIMES) else "agent"


@contextmanager
def open_registry(
    site: SiteFile,
    options: Options | None,
    client: docker.DockerClient,
    owner: Owner,
    say: Say,
    authority: Authority | None = None,
) -> Iterator[SiteRegistry]:
    """Start the registry of a run on this machine, and its witness where the site says that its hosts reach it."""
    image = options.registry_image if options else DEFAULT_IMAGE
    port = (options.registry_port if options else None) or site.registry_port
    with (
        PrivateRegistry(client, image=image, labels=owner.labels, say=say, authority=authority) as registry,
        Witness(registry, bind=site.registry_bind, port=port, names=site.registry_names) as witness,
    ):
        yield SiteRegistry(registry, witness, site.registry_names)
