"""Masking: the clear password of the profile's credentials is in no answer, and hosts are given it all the same."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from lab.injection import MASK_ANSWER, Behaviour, Fault
from lab.palette.masking import MASK, holds_mask, mask_text, mask_values
from lab.palette.server import routes
from tests.lab_palette.api import PASSWORD, Api, ApiRefusedError, eventually, os_values, profile
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

UNMASKED = re.compile(r"password[\"']?\s*:(?!\s*[\"']?\*{6})")

LAYERS = {
    "plain": "providerCredentials:\n  user: u\n  password: s3cret-value\n  registry: r\n",
    "double": 'providerCredentials:\n  password: "s3cret-value"\n',
    "single": "providerCredentials:\n  password: 's3cret-value'\n",
    "literal": "providerCredentials:\n  password: |\n    s3cret-value\n    more-s3cret\n  user: u\n",
    "folded at the end": "providerCredentials:\n  password: >-\n    s3cret-value\n    more-s3cret",
    "flow": "providerCredentials: {user: u, password: s3cret-value, registry: r}\n",
    "number": "providerCredentials:\n  password: 12345678901\n",
    "anchor": "providerCredentials:\n  password: &p s3cret-value\nother: *p\n",
    "alias": "x: &p s3cret-value\nproviderCredentials:\n  password: *p\n",
    "merged": "base: &b {password: s3cret-value}\nproviderCredentials:\n  <<: *b\n  user: u\n",
    "twice": "providerCredentials:\n  password: s3cret-value\n  password: more-s3cret\n",
    "wrong level": "options:\n  providerCredentials:\n    password: s3cret-value\n",
    "list": "providerCredentials:\n  - password: s3cret-value\n  - password: more-s3cret\n",
    "tagged": "providerCredentials:\n  password: !!str s3cret-value\n",
    "json": '{"providerCredentials": {"password": "s3cret-value"}}',
    "no YAML": "pack: {{.spectro.macro.x}}\nproviderCredentials:\n  password: s3cret-value\n  user: u\n",
    "no YAML, literal": "a: [\nproviderCredentials:\n  password: |\n    s3cret-value\n    more-s3cret\n  user: u\n",
    "no YAML, flow": "a: *none\nproviderCredentials: {user: u, password: s3cret-value}\n",
    "unindented": "providerCredentials:\nuser: user\npassword: s3cret-value\na: *none\n",
}


@pytest.mark.parametrize("form", LAYERS)
def test_every_form_of_the_password_is_masked(form: str) -> None:
    """Whatever YAML form the password has, it is masked, and the rest of the values stays as it was."""
    text = LAYERS[form]
    masked = mask_values(text)
    assert MASK in masked
    for secret in ("s3cret-value", "more-s3cret", "12345678901"):
        assert secret not in masked
    if not form.startswith(("no YAML", "unindented")):
        assert yaml.safe_load(masked).keys() == yaml.safe_load(text).keys()
    if "user: u" in text:
        assert "user: u" in masked


@given(password=st.text(min_size=4), style=st.sampled_from([None, "'", '"', "|", ">"]))
@example(password="of two\x85", style="|")  # a line ends there, too
@example(password="lines\u2028", style=">")
def test_masking_generated_passwords_leaves_everything_else(password: str, style: str | None) -> None:
    """Masking replaces the password's value and nothing else, however a YAML writer wrote it."""
    document = {"a": 1, "providerCredentials": {"user": "u", "password": password, "registry": "r"}, "z": [2]}
    text = yaml.safe_dump(document, default_style=style, allow_unicode=True)
    masked = yaml.safe_load(mask_values(text))
    expected = yaml.safe_load(text)
    expected["providerCredentials"]["password"] = MASK
    assert masked == expected


def test_a_reference_stays_readable() -> None:
    """A password that is only a macro is no secret."""
    text = os_values(password="{{.spectro.macro.pw}}")
    assert mask_values(text) == text


def test_an_empty_password_stays_empty() -> None:
    """There is nothing to hide in an empty password."""
    text = "providerCredentials:\n  password: ''\n"
    assert mask_values(text) == text


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (os_values(password=MASK), True),
        ("providerCredentials:\n  password: ******\n", True),
        ("providerCredentials:\npassword: ******\ncertificates: |\n", True),
        (os_values(password="x******"), False),
        (os_values() + "# ****** \n", False),
        (os_values() + "stages:\n  note: '******'\n", False),
    ],
)
def test_the_mask_is_recognised(text: str, *, held: bool) -> None:
    """Only a password that is the mask counts as the mask."""
    assert holds_mask(text) is held


def test_free_text_is_masked_with_care() -> None:
    """A long secret is masked anywhere, a short one behind the word password only."""
    assert mask_text("401 for robot:s3cret-value@r", ["s3cret-value"]) == f"401 for robot:{MASK}@r"
    assert mask_text("a pull of a: password=a", ["a"]) == f"a pull of a: password={MASK}"
    assert mask_text("PASSWORD: A", ["a"]) == "PASSWORD: A"  # another value


@pytest.mark.parametrize("values", [os_values(password=MASK), "providerCredentials:\n  password: ******\n"])
def test_sending_the_mask_back_is_refused(api: Api, values: str) -> None:
    """A client that writes the mask is refused and told the field; the stored password stays (vector P-30)."""
    uid = api.make_profile()
    before = api.get(f"/v1/clusterprofiles/{uid}")
    with pytest.raises(ApiRefusedError, match=r"pack\.values: providerCredentials\.password is the mask") as refused:
        api.set_values(uid, values)
    assert (refused.value.status, refused.value.code) == (400, "MaskedValue")
    assert api.get(f"/v1/clusterprofiles/{uid}") == before
    with pytest.raises(ApiRefusedError, match="is the mask"):
        api.call("POST", "/v1/clusterprofiles", profile("other", "1.0.0", values))


def paths(api: Api, cluster: str, profile_uid: str) -> Iterator[str]:
    """Yield every GET path that the endpoint serves, filled in for one cluster."""
    shape = api.get(f"/v1/spectroclusters/{cluster}")
    pack = api.get(f"/v1/clusterprofiles/{profile_uid}/packs")["items"][0]["metadata"]["uid"]
    config = shape["spec"]["cloudConfigRef"]["uid"]
    machine = api.machines(cluster)[0]["metadata"]["uid"]
    known = {
        "{configUid}": config,
        "{machinePoolName}": "control-plane-pool",
        "{machineUid}": machine,
        "{packName}": "edge-native-byoi",
        "{profileUid}": profile_uid,
        "{objectUid}": cluster,
        "{objectKind}": "spectrocluster",
        "{serviceName}": "stylus",
        "{registryUid}": api.get("/v1/registries/metadata")["items"][0]["uid"],
    }
    uids = {
        "/v1/clusterprofiles": profile_uid,
        "/v1/dashboard/clusterprofiles": profile_uid,
        "/v1/edgehosts/tokens": api.get("/v1/edgehosts/tokens")["items"][0]["metadata"]["uid"],
        "/v1/edgehosts": "edge-1",
        "/v1/packs": pack,
        "/v1/projects": api.project,
    }
    for route in routes():
        if (
            route.method == "GET"
            and "kubeconfig" not in route.path.lower()
            and not {"tenantUid", "logFetcher"} & set(re.split(r"\W+", route.path))
        ):
            path = route.path
            for name, value in known.items():
                path = path.replace(name, value)
            uid = next((value for start, value in uids.items() if path.startswith(f"{start}/{{uid}}")), cluster)
            yield path.replace("{uid}", uid) + (f"?packUid={pack}" if path.endswith("/config") else "")


@pytest.fixture
def deployed(api: Api, hosts: Callable[..., list[ScriptedAgent]], palette_lab: PaletteLab) -> tuple[str, str]:
    """Deploy with the password in a comment, a sensitive variable and an event too, and leave a repave pending."""
    palette_lab.registry.images.add("registry.test/edge:v2")
    (agent,) = hosts("edge-1")
    body = profile("edge", "1.0.0", os_values() + f"# the password is {PASSWORD}\n")
    body["spec"]["variables"] = [{"name": "spare", "isSensitive": True, "defaultValue": PASSWORD}]
    uid = api.call("POST", "/v1/clusterprofiles?publish=true", body)["uid"]
    own = [{"name": "edge-native-byoi", "values": os_values()}]
    cluster = api.deploy(uid, "edge-1", packValues=own, variables=[{"name": "spare", "value": PASSWORD}])
    eventually(lambda: api.done(cluster), "Running")
    message = f"Failed to log in as robot:{PASSWORD}"
    agent.report({"kind": "event", "severity": "Error", "reason": "FailedLogin", "message": message})
    own[0]["values"] = os_values("registry.test/edge:v2")
    api.call("PATCH", f"/v1/spectroclusters/{cluster}/profiles", {"profiles": [{"uid": uid, "packValues": own}]})
    return cluster, uid


def answers(api: Api, cluster: str, uid: str) -> dict[str, str]:
    """Return the text of every answer that shows something of the cluster or its profile."""
    texts = {path: api.send("GET", path).text for path in paths(api, cluster, uid)}
    request = api.call("POST", f"/v1/spectroclusters/{cluster}/features/logFetcher", {})["uid"]
    for path in (
        f"/v1/spectroclusters/features/logFetcher/{request}/download",
        f"/v1/spectroclusters/{cluster}/download",
    ):
        with zipfile.ZipFile(io.BytesIO(api.send("GET", path).content)) as archive:
            texts |= {f"{path} {name}": archive.read(name).decode() for name in archive.namelist()}
    texts["export yaml"] = api.send("GET", f"/v1/clusterprofiles/{uid}/export?format=yaml").text
    references = {"references": ["{{.spectro.var.spare}}", ".spectro.var.spare"]}
    texts["reference"] = api.send("GET", f"/v1/clusterprofiles/{uid}/packs/resolvedValues", references).text
    texts["host events"] = api.send("GET", "/v1/events/components/edgehost/edge-1").text
    sent: dict[str, Any] = {"profiles": [{"uid": uid}]}
    texts["repave"] = api.send("POST", f"/v1/spectroclusters/{cluster}/validate/repave", sent).text
    for dashboard in ("clusterprofiles", "spectroclusters/search", "edgehosts/search"):
        texts[dashboard] = api.send("POST", f"/v1/dashboard/{dashboard}", {}).text
    return texts


def test_the_clear_password_is_in_no_answer(api: Api, deployed: tuple[str, str], palette_lab: PaletteLab) -> None:
    """Every GET that the endpoint serves is asked, after a deployment and with a repave pending."""
    texts = answers(api, *deployed)
    leaking = [path for path, text in texts.items() if PASSWORD in text or UNMASKED.search(text.replace("\\", ""))]
    assert leaking == []
    assert sum(MASK in text for text in texts.values()) > 10
    assert palette_lab.registry.pulls[0][2] == PASSWORD


def test_an_encoded_password_is_masked_in_both_forms(api: Api, palette_lab: PaletteLab) -> None:
    """Neither the written form nor what it decodes to comes back in an event."""
    agent = palette_lab.agent("edge-1")
    agent.register()
    cluster = api.deploy(api.make_profile(password="RGVjb2RlZCE9MQ==", encodedPassword=True), "edge-1")
    assert agent.order()["credential"]["password"] == "Decoded!=1"
    told = "tried RGVjb2RlZCE9MQ== and Decoded!=1"
    agent.report({"kind": "event", "severity": "Error", "reason": "FailedLogin", "message": told})
    assert api.events(cluster)[0]["message"] == f"tried {MASK} and {MASK}"


def test_without_masking_the_crawl_finds_the_password(
    api: Api, deployed: tuple[str, str], palette_lab: PaletteLab
) -> None:
    """A lab that does not mask is noticed: the crawl of the test above looks where the password is."""
    fault = Fault("clear", {MASK_ANSWER: lambda _healthy, answer, _secrets: answer}, (), "nothing is masked")
    palette_lab.endpoint.behaviour = Behaviour((fault,))
    leaking = [path for path, text in answers(api, *deployed).items() if PASSWORD in text]
    assert len(leaking) > 10


def test_strict_mode_masks_certificates_and_macros_too(make_lab: Callable[..., PaletteLab]) -> None:
    """Real sites may mask more than the password (docs/palette.md §7.2)."""
    from lab.palette import Strictness  # noqa: PLC0415 - used here only

    api = make_lab(strictness=Strictness(mask_more=True)).client()
    with api.session:
        certificate = "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----"
        uid = api.make_profile(certificates=certificate)
        assert "MIID" not in str(api.get(f"/v1/clusterprofiles/{uid}"))
        api.call("POST", f"/v1/projects/{api.project}/macros", {"macros": [{"name": "a", "value": "clear"}]})
        assert api.get(f"/v1/projects/{api.project}/macros")["macros"] == [{"name": "a", "value": MASK}]
