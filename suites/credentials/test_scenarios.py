"""Scenarios: which login is presented where, through lives in which every pair of circumstances occurs.

Every place has a login of its own: each version, registry and macro, the user data of each host. So a login that is
taken from the wrong place is recognised, and the failure names the place.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import pytest

from fixtures.layers import AnotherRegistry, Layers
from fixtures.macros import Scope, held_macro, macro_name
from fixtures.scenarios import LifePlan, Step, lives
from fixtures.traces import traces
from fixtures.user_data import registry_credentials, restart_agent, user_data
from harness.clusters import Cluster, VacuousPhase
from harness.evidence import Evidence
from harness.pull_addresses import SharedAddressError
from harness.requirements import requirement
from harness.sites.site import Site
from registry.images import Image
from registry.server import Account

if TYPE_CHECKING:
    from types import TracebackType

    from edge import EdgeHost
    from palette.os_layer import OsLayer, ProviderCredentials

PROVES = (
    *("CRED-01", "CRED-02", "CRED-06", "REPAVE-03", "REPAVE-04", "REPAVE-05", "REPAVE-10", "REPAVE-11"),
    *("MACRO-01", "PREC-01", "LIMIT-01"),
)
#: What passwords begin with; a number makes one unique. None is taken for base64: other cases are about that.
BEGINNINGS = ("Pa!sw#rd*", "a:b: c-", "pa$word-", "q\"u'o\\te-", "pässwörd-", "p&%41<b>{{x}}-")
Second = Callable[[], Layers]
#: No password of another life or run, so that what an earlier one left on a host is not found again.
NUMBERS = itertools.count(secrets.randbelow(10**6))


@dataclass(frozen=True)
class Version:
    """A version of the profile, where its image is, and what each host is to present and to boot."""

    layer: OsLayer
    layers: Layers
    login: Account
    logins: dict[str, Account]
    image: Image
    in_user_data: bool


@dataclass
class Playing:
    """A life that is being lived, as a context manager."""

    site: Site
    registries: tuple[Layers, ...]
    evidence: Evidence
    hosts: tuple[EdgeHost, ...]
    cluster: Cluster | None = None
    versions: list[Version] = field(default_factory=list)
    _held: ExitStack = field(default_factory=ExitStack)
    _user_data: ExitStack = field(default_factory=ExitStack)
    _in_force: dict[tuple[str, str], str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for layers in self.registries:
            self._held.enter_context(layers.registry.seen.naming_logins())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held, self._user_data:
            if self.cluster is not None:
                self.cluster.leave(error)

    @property
    def passwords(self) -> set[str]:
        """The passwords of all versions and places."""
        return {login.password for version in self.versions for login in (version.login, *version.logins.values())}

    def take(self, step: Step) -> None:
        """Do what a step says, and compare what was presented and booted with what is right."""
        self.evidence.expected = f"{step}; each host presents its own login there and nowhere else"
        if step.is_deployment and self.cluster is not None:
            self._now.delete()
            self.cluster = None
        self._interrupt(step)
        done = self._roll_back(step) if step.change == "roll-back" else self._move(step)
        self._judge_logins(step)
        if not done and "digest" in step.image:
            self.evidence.note(f"an image that system.uri names by {step.image} is refused")
            self.take(replace(step, image="tag"))
            return
        assert done, f"the {step.change} fails: {self._now.errors()[0].message}"
        self._judge_hosts(step)

    # --- what happens ------------------------------------------------------------------------------------------------

    def _interrupt(self, step: Step) -> None:
        if self.cluster is None:  # the cluster before is gone
            self._wait_until_free()
        for host in self.hosts if step.between == "power cut" else ():
            host.cut_power()
        for host in self.hosts if step.between == "agent restart" else ():
            restart_agent(host)
        if self.cluster is not None:
            self.cluster.wait_until_running()

    def _wait_until_free(self) -> None:
        for host in self.hosts:
            self.site.project.edge_hosts.wait_until_free(host.uid)

    def _move(self, step: Step) -> bool:
        """Deploy, or move to a new version; return whether that comes right."""
        version = self._version(step)
        self._put_in_force(version)
        self.versions.append(version)
        if step.is_deployment:
            self._wait_until_free()
            self.cluster = self.site.begin_deploy(version.layer, on=self.hosts)
            return self.cluster.runs_or_fails()
        planned = self._move_tag if step.image == "moved tag" else lambda: None
        self._now.begin_repave(version.layer, phase=step.change, planned=planned)
        return self._now.repaves_or_fails(version.layer.image)

    def _move_tag(self) -> None:
        """Put another image under the tag of the version that is under way."""
        version = self.versions[-1]
        self.versions[-1] = replace(version, image=version.layers.images.moved(version.image))

    def _roll_back(self, step: Step) -> bool:
        self.versions.append(self.versions[-2])
        self._put_in_force(self.versions[-1])
        self._now.begin_roll_back(phase=step.change)
        return self._now.repaves_or_fails(self.versions[-1].layer.image)

    # --- what is right -----------------------------------------------------------------------------------------------

    def _judge_logins(self, step: Step) -> None:
        """Require of each host its own login, and of no other registry that it was shown one."""
        version, phase = self.versions[-1], _phase(step)
        try:
            changes = version.layers.registry.witness.changes(self._now, phase)
        except VacuousPhase:
            if step.change != "roll-back":
                raise
            self.evidence.note("a roll-back to an image that the hosts have pulls nothing")
            changes = []
        assert changes == [], changes[0]
        for layers in self.registries:
            shown = layers.registry.witness.users(self._now, phase) if layers is not version.layers else set()
            assert shown == set(), f"registry {layers.registry.address} was sent a login, and the image is elsewhere"

    def _judge_hosts(self, step: Step) -> None:
        """Require that every host pulled, and booted the image."""
        version = self.versions[-1]
        witness, hosts = version.layers.registry.witness, [host.uid for host in self.hosts]
        pulls = witness.pulls(self._now, _phase(step))
        try:
            pulled = witness.hosts(pulls) if len(hosts) > 1 else hosts[: len(pulls)]
        except SharedAddressError as error:
            self.evidence.undocumented.append(str(error))
        else:
            assert step.change == "roll-back" or set(pulled) == set(hosts), f"only {sorted(pulled)} pulled"
        for host in self.hosts:
            booted = self._now.boot_told_by(host)
            assert booted is None or booted.image.endswith(f":{version.image.label}"), (
                f"{host.uid} runs {booted.image}; the profile has {version.layer.image}, that is {version.image.label}"
            )

    @property
    def _now(self) -> Cluster:
        assert self.cluster is not None
        return self.cluster

    # --- versions ----------------------------------------------------------------------------------------------------

    def _version(self, step: Step) -> Version:
        layers = self.registries[step.registry == "second"]
        login = self._login(step, layers)
        self._name(login, f"the {step.change}, from the {step.source}")
        logins = dict.fromkeys((host.uid for host in self.hosts), login)
        in_user_data = step.source == "user data" and self._takes_user_data()
        for host in self.hosts[1:] if in_user_data else ():
            logins[host.uid] = self._another(layers, f"the user data of {host.uid}")
        image = self._image(step, layers)
        forms = {"digest": image.pinned, "tag and digest": f"{image.reference}@{image.digest}"}
        written = self._written(step, layers, login, in_user_data=in_user_data)
        layer = layers.fresh(None, image=forms.get(step.image, image.reference), credentials=written)
        return Version(layer, layers, login, logins, image, in_user_data)

    def _written(self, step: Step, layers: Layers, login: Account, *, in_user_data: bool) -> ProviderCredentials:
        """Return the credentials as the profile has them: the login, references to it, or another beside user data."""
        trusted = "".join(each.registry.authority.pem for each in self.registries) or None
        if in_user_data:
            login = self._another(layers, "the profile beside user data")
        given = layers.registry.credentials(login, certificates=trusted)
        if "macro" not in step.source:
            return given
        registry, username, password = self._macros(step, given)
        return replace(given, registry=registry, username=username, password=password)

    def _macros(self, step: Step, given: ProviderCredentials) -> list[str]:
        """Hold a login in macros; behind the project's stand the tenant's of the same names, with another login."""
        names = [macro_name(self.site, f"{part}_{next(NUMBERS)}") for part in ("registry", "user", "password")]
        values: dict[Scope, list[str]] = {"project": [given.registry, given.username, str(given.password)]}
        if step.source == "tenant macro":
            values = {"tenant": values["project"]}
        else:
            layers = self.registries[step.registry == "second"]
            other = self._another(layers, "the tenant's macro of the same name")
            values["tenant"] = [given.registry, other.username, other.password]
        held = [
            self._held.enter_context(held_macro(self.site, name, value, scope=scope))
            for scope, texts in values.items()
            for name, value in zip(names, texts, strict=True)
        ]
        return [macro.reference for macro in held[: len(names)]]

    def _image(self, step: Step, layers: Layers) -> Image:
        """Return an image that no host has; a tag that is moved before a deployment is one that the hosts have seen."""
        if step.image != "moved tag" or not step.is_deployment:
            return layers.images.fresh()
        seen = [version.image for version in self.versions if version.layers is layers]
        return layers.images.moved(seen[-1] if seen else layers.images.fresh())

    def _takes_user_data(self) -> bool:
        takes = all(host.layout().of_mode.user_data_folder is not None for host in self.hosts)
        if not takes:
            self.evidence.note("hosts of this mode take no further user data: such logins stood in the profile")
        return takes

    # --- logins ------------------------------------------------------------------------------------------------------

    def _login(self, step: Step, layers: Layers) -> Account:
        before = self.versions[-1] if self.versions else None
        if before is None or step.user == "other":
            return self._new()
        return before.login if step.user == "same" and before.layers is layers else self._new(before.login.username)

    def _new(self, username: str = "") -> Account:
        number = next(NUMBERS)
        return Account(username or f"life-{number}", f"{BEGINNINGS[number % len(BEGINNINGS)]}{number:07}")

    def _another(self, layers: Layers, name: str) -> Account:
        """Return a login that works as well and has a name."""
        login = self._new()
        self._admit(layers, login)
        self._name(login, name)
        return login

    def _admit(self, layers: Layers, login: Account) -> None:
        """Admit a login from now on, in place of the one that its user had before."""
        key = str(layers.registry.address), login.username
        if self._in_force.get(key) != login.password:
            self._held.enter_context(layers.registry.account(login.username, login.password))
            self._in_force[key] = login.password

    def _name(self, login: Account, name: str) -> None:
        for layers in self.registries:
            layers.registry.seen.accounts.name_login(name, login.username, login.password)

    def _put_in_force(self, version: Version) -> None:
        """Expect a version's logins, and put into user data what it has there."""
        self._user_data.close()
        self._admit(version.layers, version.login)
        for host in self.hosts:
            login = version.logins[host.uid]
            version.layers.registry.seen.accounts.expect_of(host.uid, login.username, login.password)
            if version.in_user_data:
                given = registry_credentials(version.layers.registry.address, login.username, login.password)
                self._user_data.enter_context(user_data(host, given))


def _phase(step: Step) -> str:
    return "deploy" if step.is_deployment else step.change


def of(hosts: int) -> pytest.MarkDecorator:
    """Return a parametrisation with the lives on so many hosts: every pair by default, every triple by night."""
    cases = [
        pytest.param(life, id=f"{name}-{life.name}", marks=pytest.mark.nightly if depth == "nightly" else ())
        for name, depth in (("pairs", "default"), ("triples", "nightly"))
        for life in lives(depth)
        if life.hosts == hosts
    ]
    return pytest.mark.parametrize("life", cases)


@pytest.fixture(scope="module")
def second_registry(another_registry: AnotherRegistry) -> Iterator[Second]:
    """Return a way to have a second registry, on another port of the same name; it is started once."""
    with ExitStack() as held:
        started: list[Layers] = []

        def start() -> Layers:
            started.extend([] if started else [held.enter_context(another_registry())])
            return started[0]

        yield start


@pytest.fixture
def live(site: Site, layers: Layers, second_registry: Second, evidence: Evidence) -> Callable[[LifePlan], None]:
    """Return a function that lives a life."""

    def play(life: LifePlan) -> None:
        elsewhere = any(step.registry == "second" for step in life.steps)
        registries = (layers, second_registry()) if elsewhere else (layers,)
        with Playing(site, registries, evidence, site.free_hosts(life.hosts)) as playing:
            for step in life.steps:
                playing.take(step)
        evidence.expected = "no host has a password of the deleted cluster"
        for host in playing.hosts if life.hosts > 1 else ():  # of one host HOST-08 has a case
            site.project.edge_hosts.wait_until_free(host.uid)
            left = host.kept(traces(*playing.passwords))
            assert left == [], f"after the cluster's deletion {host.uid} has a password in {', '.join(left)}"

    return play


@requirement(*PROVES, phase="repave", witness=True, clusters=2, repaves=3)
@of(1)
def test_a_host_presents_the_login_of_its_place(live: Callable[[LifePlan], None], life: LifePlan) -> None:
    """Whatever changes together in the life of a cluster, its host presents the login of its version and source."""
    live(life)


@requirement(*PROVES, "HOST-08", phase="repave", hosts=2, witness=True, clusters=3, repaves=5)
@of(2)
def test_each_host_presents_the_login_of_its_place(live: Callable[[LifePlan], None], life: LifePlan) -> None:
    """Whatever changes together in the life of a cluster of two, each host presents its own login and keeps none."""
    live(life)


@pytest.mark.nightly
@requirement(*PROVES, "HOST-08", phase="repave", hosts=3, witness=True, clusters=2, repaves=3)
@of(3)
def test_each_of_three_hosts_presents_the_login_of_its_place(live: Callable[[LifePlan], None], life: LifePlan) -> None:
    """Whatever changes together in the life of a cluster of three, each host presents its own login and keeps none."""
    live(life)
