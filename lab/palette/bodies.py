"""What a request's body must hold: required fields, types and enumerations of the published definitions.

Only what the endpoint reads is described; unknown fields are ignored and null counts as absent, as Go's decoder has it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import jsonschema

from lab.palette.errors import ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}


def record(*required: str, **fields: Schema) -> Schema:
    """Describe an object with these fields, the ``required`` ones present."""
    return {"type": "object", "properties": fields, "required": list(required)}


def many(item: Schema, least: int = 0) -> Schema:
    """Describe a list of at least so many items."""
    return {"type": "array", "items": item, "minItems": least}


def one_of(*values: str) -> Schema:
    """Describe an enumeration."""
    return {"type": "string", "enum": list(values)}


META = record(name=TEXT, uid=TEXT, labels=TEXTS, annotations=TEXTS)
NAMED = record("name", name=NAME, uid=TEXT, labels=TEXTS, annotations=TEXTS)

LAYER = one_of("kernel", "os", "k8s", "cni", "csi", "addon")
PACK_TYPE = one_of("spectro", "helm", "manifest", "oci")
PROFILE_TYPE = one_of("cluster", "infra", "add-on", "system")
ARCH = one_of("amd64", "arm64")
VARIABLE_FORMAT = one_of("string", "number", "boolean", "ipv4", "ipv4cidr", "ipv6", "version", "base64")

MANIFEST = record(name=TEXT, content=TEXT)
PACK = record(
    "name",
    name=NAME,
    uid=TEXT,
    tag=TEXT,
    layer=LAYER,
    type=PACK_TYPE,
    registryUid=TEXT,
    values=TEXT,
    manifests=many(MANIFEST),
)
VARIABLE = record(
    "name",
    name=NAME,
    displayName=TEXT,
    description=TEXT,
    defaultValue=TEXT,
    regex=TEXT,
    format=VARIABLE_FORMAT,
    inputType=one_of("text", "dropdown", "multiline"),
    isSensitive=FLAG,
    required=FLAG,
    hidden=FLAG,
    immutable=FLAG,
)
VARIABLES = record(variables=many(VARIABLE))
TEMPLATE = record(type=PROFILE_TYPE, cloudType=TEXT, packs=many(PACK))
PROFILE = record(
    "metadata", "spec", metadata=NAMED, spec=record(version=TEXT, template=TEMPLATE, variables=many(VARIABLE))
)
PROFILE_UPDATE = record(metadata=META, spec=record(version=TEXT, template=TEMPLATE))
CLONE_META = record(
    "name",
    name=NAME,
    version=TEXT,
    target=record("scope", scope=one_of("system", "tenant", "project", "resource"), projectUid=TEXT),
)
CLONE = record("metadata", metadata=CLONE_META)
PACK_UPDATE = record(
    "pack", pack=record("name", "uid", name=NAME, uid=NAME, tag=TEXT, layer=LAYER, type=PACK_TYPE, values=TEXT)
)
MACROS = record("macros", macros=many(record("name", name=NAME, value=TEXT)))

CLUSTER_PROFILE = record(
    "uid",
    uid=NAME,
    replaceWithProfile=TEXT,
    packValues=many(record("name", name=NAME, values=TEXT, tag=TEXT, type=PACK_TYPE)),
    variables=many(record("name", name=NAME, value=TEXT)),
)
CLUSTER_PROFILES = record(
    "profiles",
    profiles=many(CLUSTER_PROFILE, 1),
    spcApplySettings=record(actionType=one_of("DownloadAndInstall", "DownloadAndInstallLater")),
)
CLUSTER_PACKS = record(profiles=many(CLUSTER_PROFILE))
_NIC = record(nicName=TEXT, ip=TEXT, subnet=TEXT, gateway=TEXT, dns=many(TEXT), macAddr=TEXT, isDefault=FLAG)
POOL_HOST = record(
    "hostUid",
    hostUid=NAME,
    hostName=TEXT,
    nic=_NIC,
    nicName=TEXT,
    staticIP=TEXT,
    twoNodeCandidatePriority=one_of("primary", "secondary"),
)
POOL = record(
    "cloudConfig",
    "poolConfig",
    cloudConfig=record("edgeHosts", edgeHosts=many(POOL_HOST)),
    poolConfig=record(
        "name",
        "size",
        "labels",
        name=NAME,
        size=WHOLE,
        labels=many(TEXT),
        isControlPlane=FLAG,
        useControlPlaneAsWorker=FLAG,
        minSize=WHOLE,
        maxSize=WHOLE,
        nodeRepaveInterval=WHOLE,
        skipK8sUpgrade=one_of("enabled", "disabled"),
        machinePoolProperties=record(archType=ARCH),
        updateStrategy=record(type=one_of("RollingUpdateScaleOut", "RollingUpdateScaleIn", "OverrideScaling")),
    ),
)
CLOUD_CONFIG = record(
    controlPlaneEndpoint=record(host=TEXT, type=one_of("VIP", "External", "DDNS", "IP"), ddnsSearchDomain=TEXT),
    overlayNetworkConfiguration=record(enable=FLAG, cidr=TEXT),
    sshKeys=many(TEXT),
    ntpServers=many(TEXT),
    staticIp=FLAG,
    isTwoNodeCluster=FLAG,
)
CLUSTER = record(
    "metadata",
    "spec",
    metadata=NAMED,
    spec=record(
        "cloudConfig",
        "profiles",
        cloudConfig=CLOUD_CONFIG,
        profiles=many(CLUSTER_PROFILE, 1),
        machinepoolconfig=many(POOL, 1),
        machinePoolConfig=many(POOL, 1),
    ),
)


async def read_json(request: web.Request) -> Any:  # noqa: ANN401 - any JSON
    """Read the body; an absent one is an empty object. Raises ApiError 400."""
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ApiError(400, "InvalidJson", "the body holds half of a surrogate pair, which is no text") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "InvalidJson", f"the body is not JSON: {error}") from error
    return without_nulls(body)


def check(body: Any, schema: Schema) -> None:  # noqa: ANN401 - any JSON
    """Raise ApiError 400 that names the first field that does not fit."""
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(body))
    if error is not None:
        place, problem = _explain(error)
        raise invalid(place, problem)


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the value without fields that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _explain(error: jsonschema.ValidationError) -> tuple[str, str]:
    place, wanted = _place(error.absolute_path), cast("Any", error.validator_value)
    if error.validator == "required":
        missing = next(name for name in wanted if name not in cast("Any", error.instance))
        return f"{place}.{missing}" if place != "body" else missing, "is missing"
    if error.validator == "enum":
        return place, f"'{error.instance}' is not one of {', '.join(wanted)}"
    if error.validator == "type":
        return place, f"is a {type(error.instance).__name__}; it must be of type {wanted}"
    if error.validator in {"minLength", "minItems"}:
        return place, "is empty"
    return place, "does not fit the published schema"


def _place(path: Iterable[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "body"
