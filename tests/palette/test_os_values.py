"""The user's own OS layer: the guide's three places change, and nothing else does."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from palette.os_layer import IMAGE_MACRO, OsLayer, ProviderCredentials
from palette.os_values import MASK, OsValues, UnusableValuesError
from tests.foreign.test_yaml_text import LAUGHS

CREDENTIALS = ProviderCredentials("r.test:5000", "robot$x", "p#w 'q\"", "-----BEGIN CERTIFICATE-----\nMII=\n")
LAYER = OsLayer("r.test:5000/provider:v2", CREDENTIALS)

PACKS = (
    "",
    (
        'pack:\n  content:\n    images:\n      - image: "{{.spectro.pack.edge-native-byoi.options.system.uri}}"\n'
        "      # - image: example.io/my-other-images/example:v1.0.0\n  drainPods: 'auto'   # as before\n"
    ),
    "pack:\n    content:\n        images: []\n    drainPods: false\n",
    "pack:\n  content:\n    images:\n    - image: mirror.example/a:1\n    - image: 'mirror.example/b@sha256:0'\n",
    "pack: # nothing yet\n",
    "pack:\n  podSelector: {app: web}\n",
)
OPTIONS = (
    "",
    "options:\n  system.uri: example.io/my-images/example-custom-os:v1.4.5 # the image\n",
    (
        'options:\n  system.registry: "ttl.sh"\n  system.uri: "{{.spectro.pack.x.options.registry}}"\n'
        "  system.osName: ubuntu\n"
    ),
    "options:\n  system.uri: >-\n    example.io/folded:v1\n\n  system.repo: ubuntu\n",
    "options: {}\n",
    "options:\n",
    "options:\n  system.uri: {{.spectro.macro.image}} # without quotes\n  system.osName: ubuntu\n",
)
STAGES = (
    "",
    (
        "stages:\n  initramfs:\n    - users:\n        kairos:\n          groups: [sudo]\n          passwd: kairos\n"
        '    - commands: ["ln -s /etc/kubernetes/admin.conf /run/kubeconfig"]\n'
    ),
    (
        "stages:\n  after-install:\n  - name: 'tab'\n    files:\n    - path: /etc/x\n      content: |\n"
        "        a\tb: {{.spectro.macro.x}}\n\n          deeper # no comment\n"
    ),
    (
        "stages:\n  boot:\n  - files:\n    - path: /etc/motd\n      content: |\n        ********\n        * rack *\n"
        "        ******\n"
    ),
    "stages: &all\n  boot: []\nother:\n  <<: *all\n  network: [*all]\n",
    "# Appliance mode\nstylusPackage: container://stylus.example/stylus-linux-amd64:v4.9.0\nlast: |+\n  kept\n\n\n",
)


@st.composite
def layers(draw: st.DrawFn) -> str:
    """Draw an OS layer as people have them: parts in any order, with comments, indentation and line ends of theirs."""
    parts = [draw(st.sampled_from(one)) for one in (PACKS, OPTIONS, STAGES)]
    head = draw(st.sampled_from(["", "# Bring Your Own OS\n\n", "---\n"]))
    text = head + draw(st.sampled_from(["", "\n", "# next\n"])).join(draw(st.permutations(parts)))
    if draw(st.booleans()):
        text = "".join(
            f"  {line}" if line.strip() and line != "---\n" else line for line in text.splitlines(keepends=True)
        )
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def meaning(text: str) -> dict[str, Any]:
    """Return what a YAML reader makes of an OS layer, without the places that the guide changes."""
    read = yaml.safe_load(re.sub(r"{{\.spectro\.macro\.\w+}}", "macro", text)) or {}
    read.pop("providerCredentials", None)
    (read.get("options") or {}).pop("system.uri", None)
    pack = read.get("pack") or {}
    (pack.get("content") or {}).pop("images", None)
    if not pack.get("content"):
        pack.pop("content", None)
    return {key: value for key, value in read.items() if value not in (None, {})}


def is_subsequence(some: list[str], whole: list[str]) -> bool:
    """Return whether the lines come in ``whole`` in their order, whatever comes between them."""
    rest = iter(whole)
    return all(any(line == other for other in rest) for line in some)


@given(text=layers())
def test_only_the_guides_three_places_change(text: str) -> None:
    """Image, credentials and images to pull are the layer's; every other key keeps its value."""
    changed = OsValues(text).with_layer(LAYER)
    read = yaml.safe_load(changed)

    assert read["options"]["system.uri"] == LAYER.image
    assert read["providerCredentials"]["password"] == CREDENTIALS.password
    assert read["providerCredentials"]["certificates"] == CREDENTIALS.certificates
    assert {"image": IMAGE_MACRO} in read["pack"]["content"]["images"]
    assert meaning(changed) == meaning(text)


@given(text=layers())
def test_every_other_line_stays_as_it_is(text: str) -> None:
    """Comments, blank lines, indentation, quotes and line ends outside the changed places survive byte for byte."""
    changed = OsValues(text).with_layer(LAYER)
    touched = ("options", "system.uri", "pack", "content", "images", "example.io/folded", "\r\n", "\n")
    kept = [line for line in text.splitlines(keepends=True) if not line.strip().startswith(touched) and line.strip()]

    assert is_subsequence(kept, changed.splitlines(keepends=True))


@given(text=layers())
def test_changing_twice_is_like_changing_once(text: str) -> None:
    """A later version of the profile is made from the user's text, so nothing of an earlier one is left."""
    other = OsLayer("r.test:5000/provider:v3", CREDENTIALS)

    assert yaml.safe_load(OsValues(text).with_layer(other))["options"]["system.uri"] == other.image
    assert OsValues(text).with_layer(LAYER) == OsValues(text).with_layer(LAYER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n---\nb: 2\n", "2 YAML documents"),
        ("a:\n\tb: 1\n", "line 2: not YAML"),
        ("stages: {}\nproviderCredentials:\n  user: u\n", "line 2: providerCredentials is there already"),
        ("{a: 1}\n", "line 1: the root is no mapping in block style"),
        ("- a\n", "line 1: the root is no mapping in block style"),
        (f"stages:\n  boot:\n  - name: '{MASK}'\n", "line 1: a value below 'stages' is masked"),
        (f"stages:\n  boot: |\n    token: {MASK}\n", "line 1: a value below 'stages' is masked"),
        (f"a: https://user:{MASK}@example.io\n", "line 1: a value below 'a' is masked"),
        ("options:\n  system.uri: &u x\n  other: *u\n", "found undefined alias"),
        ("options:\n  system.uri: x\noptions:\n  system.uri: y\n", "line 3: options is there twice"),
        ("a: 1\noptions: {system.osName: ubuntu}\n", "line 2: options is in flow style"),
        ("pack: {content: {images: [{image: x}]}}\n", "line 1: pack is in flow style"),
        ("a: " + "[" * 3000 + "]" * 3000, "line 1: not YAML: nested deeper than 30 levels"),
        ("a: &a [*a]\n", "line 1: not YAML: aliases that make it too large"),
        (LAUGHS, "line 1: not YAML: aliases that make it too large"),
        ("a: " + "x" * (1 << 20), "line 1: not YAML: larger than 1024 KiB"),
        (f"stages: {{}}\n'{MASK}': x\n", "line 2: a value below '******' is masked".replace("*", r"\*")),
    ],
)
def test_values_that_cannot_be_changed_are_refused(text: str, said: str) -> None:
    """What cannot take the guide's changes alone is refused with its line."""
    with pytest.raises(UnusableValuesError, match=said.replace(".", r"\.")):
        OsValues(text).with_layer(LAYER)


def test_a_refusal_quotes_no_value() -> None:
    """The user's values may hold secrets, so that no message has one."""
    with pytest.raises(UnusableValuesError) as refused:
        OsValues("password: s3cret-value\n  wrong: [\n")

    assert "s3cret" not in str(refused.value)


def test_images_that_a_case_names_replace_the_users() -> None:
    """Where a case is about the images to pull, the list is the case's; where it is not, the user's stay in it."""
    values = OsValues(PACKS[3])
    theirs = [{"image": "mirror.example/a:1"}, {"image": "mirror.example/b@sha256:0"}]
    named = yaml.safe_load(values.with_layer(OsLayer("r/p:1", content_images=("x/y:1", "x/z:1"))))

    assert yaml.safe_load(values.with_layer(LAYER))["pack"]["content"]["images"] == [{"image": IMAGE_MACRO}, *theirs]
    assert named["pack"]["content"]["images"] == [{"image": "x/y:1"}, {"image": "x/z:1"}]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", " \n\n", "---\n"])
def test_a_layer_without_keys_keeps_nothing_below(text: str) -> None:
    """A pack may have no values at all; then a case's own text has nothing below it."""
    assert OsValues(text).other_than_the_guides() == ""
    assert yaml.safe_load(OsValues(text).with_layer(LAYER))["options"]["system.uri"] == LAYER.image


def test_what_is_not_the_guides_can_stand_below_other_text() -> None:
    """A case that writes the layer's text itself keeps the user's other keys below it."""
    text = PACKS[1] + OPTIONS[1] + STAGES[1]

    assert OsValues(text).other_than_the_guides() == STAGES[1]
