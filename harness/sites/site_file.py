"""Site files: what a site is, read and checked before anything is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from jsonschema import Draft202012Validator

from harness.sites.base_profile import WantedProfile
from harness.sites.cluster_network import ClusterNetwork, read_cluster_network
from harness.sites.site_references import BadSiteFileError, file_at, secret_at
from palette.waiting import Timeouts
from protected import Secret
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.existing import ExistingRegistry, GivenAccount
from registry.probes import probes

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

__all__ = ["BadSiteFileError", "SiteFile", "read_site_file"]

SCHEMA = json.loads((Path(__file__).parent / "site.schema.json").read_text())


_LAST_PORT = 65535
_TELLING = 8  # characters; a shorter password cannot be told from ordinary text in an artefact


class NoOwnAddressError(Exception):
    """The hosts of a site reach no address of this machine, and something was to stand there."""


@dataclass(frozen=True)
class SshTarget:
    """``user@host[:port]``, taken apart; what is None is as the site file has it for all hosts.

    For hosts that are sought by name or tag, ``{address}`` and ``{name}`` stand for what Palette says of each.
    """

    user: str
    address: str
    port: int = 22
    key: Path | None = None
    jump: str | None = None
    sudo: bool | None = None

    @classmethod
    def parse(cls, text: str) -> SshTarget:
        """Read what the schema has let through."""
        user, _, place = text.rpartition("@")
        if place.startswith("["):
            address, _, port = place[1:].partition("]")
            return cls(user, address, int(port[1:] or 22))
        address, _, port = place.partition(":")
        return cls(user, address, int(port or 22))


@dataclass(frozen=True)
class SoughtHosts:
    """Edge hosts that a site file names otherwise than by uid: by ``name``, or every one with a ``tag``."""

    place: str
    by: Literal["name", "tag"]
    value: str
    target: SshTarget


@dataclass(frozen=True)
class RemoteImage:
    """A provider image in somebody's registry, and the login there; ``authority`` is PEM text."""

    registry: RegistryAddress
    repository: str
    reference: str
    username: str | None = None
    password: Secret = field(default=Secret(""), repr=False)
    authority: str | None = None

    def __str__(self) -> str:
        return self.registry.reference(self.repository, self.reference)

    def client(self) -> RegistryClient:
        """Return a client of that registry, which the caller closes."""
        return RegistryClient(self.registry, self.username, self.password, authorities=self.authority)


@dataclass(frozen=True)
class NeverTouch:
    """What a run must leave alone, by name or uid."""

    clusters: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    edge_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SiteFile:
    """A checked site file. Secrets are read, paths are absolute.

    ``examples`` is how many passwords a property draws here in a default run: each costs a deployment and a repave.
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
    sought: tuple[SoughtHosts, ...] = ()
    never_touch: NeverTouch = NeverTouch()
    existing_registry: ExistingRegistry | None = None
    kubeconfig: Secret | None = field(default=None, repr=False)
    profile: WantedProfile | None = None

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
        if isinstance(image, RemoteImage) and image.username is not None:
            found.append(("password of the provider image's registry", image.password))
        if self.kubeconfig is not None:
            found.append(("kubeconfig", self.kubeconfig))
        accounts = (registry.pusher, *registry.given) if registry is not None else ()
        named = ((f"password of registry account {known.username}", known.password) for known in accounts)
        return (*found, *(entry for entry in named if not is_common_knowledge(entry[1])))


def read_site_file(path: Path) -> SiteFile:
    """Read and check a site file.

    Raises:
        BadSiteFileError: the file cannot be read, is not YAML, or has a wrong key, type or value.

    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise BadSiteFileError(f"--site {path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that no calendar has
        place = getattr(error, "problem_mark", None)
        line = f" line {place.line + 1}" if place else ""
        raise BadSiteFileError(f"{path.name}:{line} is not YAML: {getattr(error, 'problem', None) or error}") from error
    _check(path.name, document)
    return _site_file(path, document)


def _check(name: str, document: object) -> None:
    validator = Draft202012Validator(SCHEMA)
    for error in sorted(validator.iter_errors(document), key=lambda found: list(map(str, found.absolute_path))):
        raise BadSiteFileError(f"{name}: {_explain(error, document)}")


def _explain(error: ValidationError, document: object) -> str:
    place = _place(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    right = schema.get("right") if isinstance(schema, Mapping) else None
    if error.validator == "additionalProperties":
        return _explain_unknown_key(place, error)
    if error.validator == "required":
        missing = next(key for key in schema["required"] if key not in instance)
        return f"{place or 'the file'}: {missing!r} is missing; write {_right_of(schema, missing)}"
    if not isinstance(document, Mapping):
        return "the file is no mapping of keys; see docs/real-sites.md"
    found = _found(place, schema, instance)
    if place.endswith(".ssh") and isinstance(instance, str) and "@" not in instance:
        return f"{place}: {found} has no user; write it as {right}"
    return f"{place}: found {found}; write {right or error.message}"


def _found(place: str, schema: object, instance: object) -> str:
    """Quote what stands in the file, unless it may be a secret or have one in it."""
    if schema is SCHEMA["$defs"]["secret"]:
        return "something else than where the secret is kept"
    if place.startswith("registry.existing") and not isinstance(instance, int):
        return "something else"
    return repr(instance) if isinstance(instance, str) else json.dumps(instance, default=str)


def _explain_unknown_key(place: str, error: ValidationError) -> str:
    schema: Any = error.schema
    instance: Any = error.instance
    known = list(schema["properties"])
    unknown = next(key for key in instance if key not in known)
    near = get_close_matches(str(unknown), known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"{place + '.' if place else ''}{unknown}: unknown key; {advice}"


def _right_of(schema: Any, key: str) -> str:  # noqa: ANN401 - a part of a JSON schema
    part = schema.get("properties", {}).get(key, {})
    part = SCHEMA["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    return f"{key}: {part.get('right', '…')}"


def _place(path: Any) -> str:  # noqa: ANN401 - jsonschema's deque of keys and numbers
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _site_file(path: Path, document: Mapping[str, Any]) -> SiteFile:
    palette, ssh, registry = document["palette"], document.get("ssh", {}), document["registry"]
    return SiteFile(
        path=path,
        name=document.get("name", path.stem),
        palette_url=palette["url"].rstrip("/"),
        project=palette["project"],
        api_key=secret_at(path, "palette.api_key", palette["api_key"]),
        palette_authority=file_at(path, "palette.authority", palette.get("authority")),
        rate_limits=palette.get("rate_limits", True),
        edge_hosts=_hosts(path, document["edge_hosts"]),
        sought=_sought(path, document["edge_hosts"]),
        never_touch=_never_touch(path, document),
        ssh_key=file_at(path, "ssh.key", ssh.get("key")),
        known_hosts=file_at(path, "ssh.known_hosts", ssh.get("known_hosts")),
        ssh_jump=ssh.get("jump"),
        ssh_sudo=ssh.get("sudo", True),
        own_address=_own_address(path, registry),
        existing_registry=_existing_registry(path, registry.get("existing")),
        registry_port=registry.get("port", 0),
        registry_names=tuple(registry.get("names", ())),
        provider_image=_provider_image(path, document["provider_image"]),
        features=frozenset((*document.get("features", ()), *(["kubernetes"] if "kubernetes" in document else []))),
        kubeconfig=_kubeconfig(path, document.get("kubernetes")),
        timeouts=_timeouts(path, document.get("timeouts", {})),
        cluster=read_cluster_network(path, document.get("cluster", {})),
        examples=document.get("examples", 1),
        profile=_profile(path, document.get("profile")),
    )


def _profile(path: Path, given: str | Mapping[str, str] | None) -> WantedProfile | None:
    if given is None or isinstance(given, str):
        return WantedProfile(name=given) if given else None
    values = file_at(path, "profile.os_values", given.get("os_values"))
    text = None if values is None else values.read_bytes().decode("utf-8", "replace")
    return WantedProfile(given.get("name", ""), given.get("version", ""), given.get("uid", ""), text)


def _hosts(path: Path, listed: list[Mapping[str, Any]]) -> Mapping[str, SshTarget]:
    hosts: dict[str, SshTarget] = {}
    for number, host in enumerate(listed):
        _one_way(path, number, host)
        if "uid" not in host:
            continue
        if host["uid"] in hosts:
            raise BadSiteFileError(f"{path.name}: edge_hosts[{number}].uid: {host['uid']!r} is listed twice")
        hosts[host["uid"]] = _target(path, number, host)
    return hosts


def _sought(path: Path, listed: list[Mapping[str, Any]]) -> tuple[SoughtHosts, ...]:
    found = []
    for number, host in enumerate(listed):
        if "uid" in host:
            continue
        by: Literal["name", "tag"] = "name" if "name" in host else "tag"
        target, place = _target(path, number, host), f"{path.name}: edge_hosts[{number}].{by}"
        if by == "tag" and not any(word in target.address for word in ("{address}", "{name}")):
            right = "{address} or {name} stands for what Palette says of each host, as in 'kairos@{address}'"
            raise BadSiteFileError(f"{path.name}: edge_hosts[{number}].ssh: many hosts may have a tag; {right}")
        found.append(SoughtHosts(place, by, host[by], target))
    return tuple(found)


def _one_way(path: Path, number: int, host: Mapping[str, Any]) -> None:
    """See to it that a host is named by its uid, its name or a tag, and only one of them."""
    given = [key for key in ("uid", "name", "tag") if key in host]
    place = f"{path.name}: edge_hosts[{number}]"
    if not given:
        right = "uid: the Edge host's identity in Palette, or name: its name, or tag: key:value for every such host"
        raise BadSiteFileError(f"{place}: 'uid' is missing; write {right}")
    if len(given) > 1:
        raise BadSiteFileError(f"{place}: found {' and '.join(given)}; write one of them")


def _target(path: Path, number: int, host: Mapping[str, Any]) -> SshTarget:
    target = SshTarget.parse(host["ssh"])
    if not 1 <= target.port <= _LAST_PORT:
        right = f"write a port from 1 to {_LAST_PORT}"
        raise BadSiteFileError(f"{path.name}: edge_hosts[{number}].ssh: found port {target.port}; {right}")
    key = file_at(path, f"edge_hosts[{number}].key", host.get("key"))
    return replace(target, key=key, jump=host.get("jump"), sudo=host.get("sudo"))


def _never_touch(path: Path, document: Mapping[str, Any]) -> NeverTouch:
    given = document.get("never_touch", {})
    untouched = NeverTouch(**{kind: frozenset(names) for kind, names in given.items()})
    for number, host in enumerate(document["edge_hosts"]):
        name = host.get("uid") or host.get("name")
        if name in untouched.edge_hosts:
            raise BadSiteFileError(
                f"{path.name}: edge_hosts[{number}]: {name!r} is also in never_touch.edge_hosts; remove one of them"
            )
    return untouched


def is_common_knowledge(password: Secret) -> bool:
    """Tell a short password of the published probe set, which cannot be told from ordinary text either."""
    value = password.reveal()
    return len(value) < _TELLING and value in {probe.password for probe in probes()}


def _own_address(path: Path, registry: Mapping[str, Any]) -> str | None:
    if "bind" not in registry and "existing" not in registry:
        right = SCHEMA["properties"]["registry"]["properties"]["bind"]["right"]
        raise BadSiteFileError(f"{path.name}: registry: 'bind' is missing; write bind: {right}")
    return registry.get("bind")


def _existing_registry(path: Path, given: Mapping[str, Any] | None) -> ExistingRegistry | None:
    if given is None:
        return None
    place = "registry.existing"
    try:
        address = RegistryAddress.parse(given["address"])
    except ValueError as error:
        raise BadSiteFileError(f"{path.name}: {place}.address: {error}") from error
    authority = file_at(path, f"{place}.authority", given.get("authority"))
    accounts = [_account(path, f"{place}.accounts[{n}]", account) for n, account in enumerate(given["accounts"])]
    pusher = _account(path, f"{place}.pusher", given["pusher"])
    return ExistingRegistry(address, pusher, accounts, authority.read_text("utf-8") if authority else None)


def _kubeconfig(path: Path, given: Mapping[str, Any] | None) -> Secret | None:
    return None if given is None else secret_at(path, "kubernetes.kubeconfig", given["kubeconfig"])


def _account(path: Path, place: str, given: Mapping[str, Any]) -> GivenAccount:
    account = GivenAccount(given["username"], secret_at(path, f"{place}.password", given["password"], exact=True))
    if not is_common_knowledge(account.password):
        _searchable(path, f"{place}.password", account.password)
    return account


def _searchable(path: Path, place: str, secret: Secret) -> Secret:
    """Refuse a secret that reports cannot be searched for."""
    if (length := len(secret.reveal())) < _TELLING:
        right = f"at least {_TELLING}, so that reports can be searched for it"
        raise BadSiteFileError(f"{path.name}: {place}: found {length} characters; use a password of {right}")
    return secret


def _provider_image(path: Path, given: str | Mapping[str, Any]) -> Path | RemoteImage:
    if not isinstance(given, str):
        return _remote_image(path, given)
    layout = path.parent / Path(given.removeprefix("oci:")).expanduser()
    if not (layout / "index.json").is_file():
        raise BadSiteFileError(f"{path.name}: provider_image: {layout} is no OCI image layout (it has no index.json)")
    return layout


def _remote_image(path: Path, given: Mapping[str, Any]) -> RemoteImage:
    if ("username" in given) != ("password" in given):
        raise BadSiteFileError(f"{path.name}: provider_image: username and password go together; write both or none")
    registry, _, rest = given["reference"].partition("/")
    repository, _, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
    try:
        address = RegistryAddress.parse(registry)
    except ValueError as error:
        raise BadSiteFileError(f"{path.name}: provider_image.reference: {error}") from error
    authority = file_at(path, "provider_image.authority", given.get("authority"))
    password = Secret("")
    if "password" in given:
        place = "provider_image.password"
        password = _searchable(path, place, secret_at(path, place, given["password"]))
    return RemoteImage(
        address,
        repository,
        reference,
        given.get("username"),
        password,
        authority.read_text("utf-8") if authority else None,
    )


def _timeouts(path: Path, given: Mapping[str, float]) -> Timeouts:
    known = [found.name for found in fields(Timeouts)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise BadSiteFileError(f"{path.name}: timeouts.{name}: unknown time-out; {advice}")
    try:
        return Timeouts(**given)
    except ValueError as error:
        raise BadSiteFileError(f"{path.name}: timeouts: {error}") from error
