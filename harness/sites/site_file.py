"""Site files: what a site is, read and checked before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bounded import file_content
from edge.cluster_api import credentials_of
from foreign.yaml_text import BadYamlError, read_yaml
from harness.sites.base_profile import WantedProfile
from harness.sites.cluster_network import ClusterNetwork, read_cluster_network
from harness.sites.packs import WantedPacks, read_packs
from harness.sites.site_hosts import (
    LAST_PORT,
    NeverTouch,
    SoughtHosts,
    SshTarget,
    hosts_of,
    jump_of,
    never_touch_of,
    section,
    sought_hosts,
)
from harness.sites.site_references import (
    BadSiteFileError,
    SiteText,
    authority_at,
    certificates_in,
    file_at,
    secret_at,
    text_at,
)
from harness.sites.site_schema import SCHEMA, is_proxy, mistakes_of, nearest
from palette.transport import check_key
from palette.waiting import Timeouts
from protected import Secret
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.existing import ExistingRegistry, GivenAccount
from registry.probes import probes

__all__ = ["BadSiteFileError", "SiteFile", "read_site_file"]

_TELLING = 8  # characters; a shorter password cannot be told from ordinary text in an artefact


class NoOwnAddressError(Exception):
    """The hosts of a site reach no address of this machine, and something was to stand there."""


@dataclass(frozen=True)
class RemoteImage:
    """A provider image in somebody's registry, and the login there; ``authority`` is PEM text."""

    registry: RegistryAddress
    repository: str
    reference: str
    username: str | None = None
    password: Secret = field(default=Secret(""), repr=False)
    authority: str | None = None
    proxy: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.registry.reference(self.repository, self.reference)

    def client(self) -> RegistryClient:
        """Return a client of that registry, which the caller closes."""
        return RegistryClient(self.registry, self.username, self.password, authorities=self.authority, proxy=self.proxy)


@dataclass(frozen=True)
class SiteFile:
    """A checked site file. Secrets are read, paths are absolute.

    ``examples`` is how many twentieths of the classes of passwords a default run presents here: each costs a pull.
    """

    path: Path
    name: str
    palette_url: str
    project: str
    api_key: Secret = field(repr=False)
    palette_authority: Path | None
    rate_limits: bool
    edge_hosts: Mapping[str, SshTarget]
    ssh_key: Path | None
    known_hosts: Path | None
    ssh_jump: str | None
    ssh_sudo: bool
    own_address: str | None
    registry_port: int
    registry_names: tuple[str, ...]
    provider_image: Path | RemoteImage
    features: frozenset[str]
    timeouts: Timeouts
    cluster: ClusterNetwork = field(default_factory=ClusterNetwork)
    examples: int = 1
    same_machine: bool = False
    sought: tuple[SoughtHosts, ...] = ()
    never_touch: NeverTouch = field(default_factory=NeverTouch)
    existing_registry: ExistingRegistry | None = None
    registry_ports: tuple[int, ...] = ()
    kubeconfig: Secret | None = field(default=None, repr=False)
    profile: WantedProfile | None = None
    palette_proxy: str | None = field(default=None, repr=False)
    packs: WantedPacks = field(default_factory=WantedPacks)

    @property
    def registry_bind(self) -> str:
        """The address of this machine, as the hosts reach it. Raises NoOwnAddressError where they reach none."""
        if self.own_address is None:
            raise NoOwnAddressError(f"the hosts reach no address of this machine ({self.path.name}: registry.bind)")
        return self.own_address

    def secrets(self) -> tuple[tuple[str, Secret], ...]:
        """Return every secret that the file refers to, and what to call it: none of them may leave a run."""
        image, registry = self.provider_image, self.existing_registry
        found = [("Palette API key", self.api_key)]
        proxies = (self.palette_proxy, image.proxy if isinstance(image, RemoteImage) else None)
        found += [("password of a proxy", Secret(_login_of(each))) for each in proxies if _login_of(each)]
        if isinstance(image, RemoteImage) and image.username is not None:
            found.append(("password of the provider image's registry", image.password))
        if self.kubeconfig is not None:
            parts = (Secret(part) for part in credentials_of(self.kubeconfig) if len(part) >= _TELLING)
            found += [("kubeconfig", self.kubeconfig), *(("credential in the kubeconfig", part) for part in parts)]
        variables = self.profile.variables.items() if self.profile else ()
        found += [(f"value of the profile's variable {name}", at) for name, at in variables if isinstance(at, Secret)]
        accounts = (registry.pusher, *registry.given) if registry is not None else ()
        named = ((f"password of registry account {known.username}", known.password) for known in accounts)
        return (*found, *(entry for entry in named if not is_common_knowledge(entry[1])))


def read_site_file(path: Path) -> SiteFile:
    """Read and check a site file.

    Raises:
        BadSiteFileError: the file cannot be read, is not YAML, or has wrong keys, types or values: all of them.

    """
    try:
        site = SiteText(path, read_yaml(file_content(path)))
    except OSError as error:
        raise BadSiteFileError(f"--site {path.absolute()}: cannot be read: {error.strerror}") from error
    except BadYamlError as error:
        line = f":{error.line}" if error.line else ""
        raise BadSiteFileError(f"{path.name}{line}: this is no YAML: {error.said}") from None
    for place, said in mistakes_of(site.written.value):
        site.note(place, site.wrong(place, said))
    if not isinstance(site.written.value, Mapping):
        site.finish()
    found = _site_file(site, site.written.value)
    site.finish()
    return found


def _site_file(site: SiteText, document: Mapping[str, Any]) -> SiteFile:
    """Return what the file says; of what is wrong a note is taken, and the result is of no use."""
    palette, ssh, registry, kubernetes = (
        section(document, key) for key in ("palette", "ssh", "registry", "kubernetes")
    )
    attempt, hosts = site.attempt, document.get("edge_hosts", [])
    return SiteFile(
        path=site.path,
        name=document.get("name", site.path.stem),
        palette_url=str(palette.get("url")).rstrip("/"),
        project=palette.get("project", ""),
        api_key=attempt("palette.api_key", _api_key, site, palette.get("api_key", {})),
        palette_authority=attempt(
            "palette.authority", authority_at, site, "palette.authority", palette.get("authority")
        ),
        palette_proxy=attempt("palette.proxy", _proxy, site, "palette.proxy", palette.get("proxy")),
        rate_limits=palette.get("rate_limits", True),
        edge_hosts=hosts_of(site, hosts),
        sought=sought_hosts(site, hosts),
        never_touch=attempt("never_touch", never_touch_of, site, document),
        ssh_key=attempt("ssh.key", file_at, site, "ssh.key", ssh.get("key")),
        known_hosts=attempt("ssh.known_hosts", file_at, site, "ssh.known_hosts", ssh.get("known_hosts")),
        ssh_jump=attempt("ssh.jump", jump_of, site, "ssh.jump", ssh.get("jump")),
        ssh_sudo=ssh.get("sudo", True),
        own_address=attempt("registry.bind", _own_address, site, registry),
        existing_registry=attempt("registry.existing", _existing_registry, site, registry.get("existing")),
        registry_port=registry.get("port", 0),
        registry_ports=attempt("registry.ports", _ports, site, registry),
        registry_names=attempt("registry.names", tuple, registry.get("names", ())),
        provider_image=attempt("provider_image", _provider_image, site, document.get("provider_image", "")),
        features=_features(document),
        kubeconfig=attempt("kubernetes.kubeconfig", _kubeconfig, site, kubernetes.get("kubeconfig")),
        timeouts=attempt("timeouts", _timeouts, site, document.get("timeouts", {})),
        cluster=attempt("cluster", read_cluster_network, site, document.get("cluster", {})),
        examples=document.get("examples", 1),
        same_machine=document.get("same_machine", False),
        profile=attempt("profile", _profile, site, document.get("profile")),
        packs=attempt("packs", _packs, site, document),
    )


def _api_key(site: SiteText, reference: Mapping[str, str]) -> Secret:
    key = secret_at(site, "palette.api_key", reference)
    try:
        check_key(key)
    except ValueError as error:
        raise site.wrong("palette.api_key", str(error)) from None
    return key


def _features(document: Mapping[str, Any]) -> frozenset[str]:
    given = document.get("features", ())
    return frozenset(
        (*(given if isinstance(given, list) else ()), *(["kubernetes"] if "kubernetes" in document else []))
    )


def _profile(site: SiteText, given: str | Mapping[str, Any] | None) -> WantedProfile | None:
    if given is None or isinstance(given, str):
        return WantedProfile(name=given) if given else None
    text = text_at(site, "profile.os_values", given.get("os_values"))
    variables = {
        str(name): value if isinstance(value, str) else _secret_variable(site, f"profile.variables.{name}", value)
        for name, value in given.get("variables", {}).items()
    }
    return WantedProfile(given.get("name", ""), given.get("version", ""), given.get("uid", ""), text, variables)


def _secret_variable(site: SiteText, place: str, given: Mapping[str, str]) -> Secret:
    return _searchable(site, place, secret_at(site, place, given, exact=True))


def _packs(site: SiteText, document: Mapping[str, Any]) -> WantedPacks:
    if "packs" in document and "profile" in document:
        raise site.wrong("packs", "there is a profile, which has its own packs; write profile or packs")
    return read_packs(site, document.get("packs"))


def is_common_knowledge(password: Secret) -> bool:
    """Return whether it is a short password of the published probe set, which is no secret."""
    value = password.reveal()
    return len(value) < _TELLING and value in {probe.password for probe in probes()}


def _own_address(site: SiteText, registry: Mapping[str, Any]) -> str | None:
    if "bind" not in registry and "existing" not in registry:
        right = SCHEMA["properties"]["registry"]["properties"]["bind"]["right"]
        raise site.wrong("registry.bind", f"it is missing; write bind: {right}")
    return registry.get("bind")


def _ports(site: SiteText, registry: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the ports of workers' registries: those of the range, else the one port, else none for free ones."""
    if "ports" not in registry:
        return (registry["port"],) if registry.get("port") else ()
    if "port" in registry:
        raise site.wrong("registry.ports", "registry.port is given as well; leave one of them out")
    first, last = map(int, registry["ports"].split("-"))
    if not 0 < first <= last <= LAST_PORT:
        raise site.wrong("registry.ports", f"{registry['ports']!r} is no range of ports; write it as 5443-5450")
    return tuple(range(first, last + 1))


def _existing_registry(site: SiteText, given: Mapping[str, Any] | None) -> ExistingRegistry | None:
    if given is None:
        return None
    place = "registry.existing"
    try:
        address = RegistryAddress.parse(given["address"])
    except ValueError as error:
        raise site.wrong(f"{place}.address", str(error)) from error
    authority = authority_at(site, f"{place}.authority", given.get("authority"))
    accounts = [_account(site, f"{place}.accounts[{n}]", account) for n, account in enumerate(given["accounts"])]
    pusher = _account(site, f"{place}.pusher", given["pusher"])
    return ExistingRegistry(address, pusher, accounts, certificates_in(authority))


def _kubeconfig(site: SiteText, given: Mapping[str, str] | None) -> Secret | None:
    return None if given is None else secret_at(site, "kubernetes.kubeconfig", given)


def _account(site: SiteText, place: str, given: Mapping[str, Any]) -> GivenAccount:
    account = GivenAccount(given["username"], secret_at(site, f"{place}.password", given["password"], exact=True))
    if not is_common_knowledge(account.password):
        _searchable(site, f"{place}.password", account.password)
    return account


def _searchable(site: SiteText, place: str, secret: Secret) -> Secret:
    """Refuse a secret that reports cannot be searched for."""
    if (length := len(secret.reveal())) < _TELLING:
        right = f"at least {_TELLING}, so that reports can be searched for it"
        raise site.wrong(place, f"found {length} characters; use a password of {right}")
    return secret


def _provider_image(site: SiteText, given: str | Mapping[str, Any]) -> Path | RemoteImage:
    if not isinstance(given, str):
        return _remote_image(site, given)
    layout = site.path.parent / Path(given.removeprefix("oci:")).expanduser()
    if not (layout / "index.json").is_file():
        raise site.wrong("provider_image", f"{layout} is no OCI image layout (it has no index.json)")
    return layout


def _remote_image(site: SiteText, given: Mapping[str, Any]) -> RemoteImage:
    if ("username" in given) != ("password" in given):
        raise site.wrong("provider_image", "username and password go together; write both or none")
    registry, _, rest = given["reference"].partition("/")
    repository, _, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
    try:
        address = RegistryAddress.parse(registry)
    except ValueError as error:
        raise site.wrong("provider_image.reference", str(error)) from error
    authority = authority_at(site, "provider_image.authority", given.get("authority"))
    password = Secret("")
    if "password" in given:
        place = "provider_image.password"
        password = _searchable(site, place, secret_at(site, place, given["password"]))
    return RemoteImage(
        address,
        repository,
        reference,
        given.get("username"),
        password,
        certificates_in(authority),
        _proxy(site, "provider_image.proxy", given.get("proxy")),
    )


def _proxy(site: SiteText, place: str, given: str | Mapping[str, str] | None) -> str | None:
    """Return the URL of a proxy; with a login in it, only if it stands elsewhere. Raises BadSiteFileError."""
    if given is None or isinstance(given, str):
        return given
    text = secret_at(site, place, given).reveal()
    with suppress(ValueError):
        if is_proxy(text) and _login_of(text).encode("latin-1"):  # as HTTP's libraries send it
            _searchable(site, place, Secret(_login_of(text)))
            return text
    raise site.wrong(place, "what is kept there is not http://user:password@host:port, with %XX for other characters")


def _login_of(proxy: str | None) -> str:
    """Return the password in the URL of a proxy."""
    return unquote(urlsplit(proxy or "").password or "")


def _timeouts(site: SiteText, given: Mapping[str, float]) -> Timeouts:
    known = [found.name for found in fields(Timeouts)]
    for name in given:
        if name not in known:
            raise site.wrong(f"timeouts.{name}", f"unknown time-out; {nearest(name, known)}")
    try:
        return Timeouts(**given)
    except ValueError as error:
        raise site.wrong("timeouts", str(error)) from error
