"""The catalogue of transforms, entry by entry and against the real programs it describes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.transforms import CLASSES, TRANSFORMS, VARIANTS, Context, transform
from registry.transforms import base64_rules as rules
from registry.transforms.yaml_plain import read
from registry.transforms.yaml_typing import yaml_11
from tests.registry_transforms.pool import POOL, hostile
from tests.registry_transforms.samples import SAMPLES

HERE = Path(__file__).parent


def golden(name: str) -> list[dict[str, Any]]:
    """Read what the real Go packages answered (Go 1.26, sigs.k8s.io/yaml 1.4.0)."""
    records: list[dict[str, Any]] = json.loads((HERE / name).read_text())
    return records


def account(password: str | bytes) -> Context:
    """Return an account in which everything that a substitution needs is there."""
    return Context(password, "user", "old", "other")


def test_the_catalogue_is_large_and_its_ids_are_unique() -> None:
    """There are at least sixty transforms, each with an id of its own and words for people."""
    assert len({known.id for known in TRANSFORMS}) == len(TRANSFORMS) >= 60
    assert all(known.name and known.title and known.source and known.changes for known in TRANSFORMS)


@pytest.mark.parametrize(("name", "password", "presented"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_a_transform_does_what_its_source_does(name: str, password: str, presented: bytes | None) -> None:
    """A transform gives exactly the bytes that the software it describes would present."""
    assert transform(name).apply(account(password)) == presented


def test_every_transform_has_a_sample() -> None:
    """No transform is left without a sample whose result was checked by eye."""
    assert {sample[0] for sample in SAMPLES} == {known.id for known in TRANSFORMS}


def test_a_transform_changes_members_of_its_classes_only() -> None:
    """Outside the classes that a transform names it leaves every password as it is."""
    for password in POOL:
        context = account(password)
        classes = {name for name, known in CLASSES.items() if known.contains(context.password)}
        wrong = [known.id for known in TRANSFORMS if known.changed(context) and not classes & set(known.changes)]
        assert wrong == [], ascii(password)


def test_classes_named_by_transforms_exist() -> None:
    """A transform cannot name a class of password that nobody described."""
    assert {name for known in TRANSFORMS for name in known.changes} <= set(CLASSES)


def test_every_transform_takes_any_bytes() -> None:
    """No transform raises an exception, whatever bytes an earlier change left behind."""
    for value in (
        b"",
        b"\xff\xfe",
        b"\xc3",
        b"\xed\xa0\x80",
        b"%ff\xff",
        b"\\ud800\xff",
        b"{{\xff}}",
        bytes(range(256)),
    ):
        for known in TRANSFORMS:
            assert isinstance(known.apply(account(value)), bytes | None), known.id


@pytest.mark.parametrize("record", golden("go_base64.json"), ids=lambda record: ascii(record["value"]))
def test_decoders_agree_with_go(record: dict[str, Any]) -> None:
    """Standard, raw and URL-safe decoding, and the prefix before an error, are those of Go's encoding/base64."""
    value = record["value"].encode()
    decoders: dict[str, Callable[[bytes], bytes | None]] = {
        "standard": rules.go_standard,
        "raw": rules.go_raw,
        "url": rules._url,
        "url_raw": rules._url_raw,
        "prefix": rules.go_prefix,
    }
    ours = {name: decode(value) for name, decode in decoders.items()}

    assert {name: None if got is None else got.hex() for name, got in ours.items()} == {
        name: record[name] for name in decoders
    }


@pytest.mark.parametrize("record", golden("go_yaml.json"), ids=lambda record: record["value"])
def test_typing_agrees_with_kubernetes_yaml(record: dict[str, Any]) -> None:
    """What an unquoted value becomes in a text field is what sigs.k8s.io/yaml makes of it."""
    assert transform("yaml-typed-kubernetes").apply(Context(record["value"])) == record["read"].encode()


@pytest.mark.parametrize("record", golden("go_text.json"), ids=lambda record: ascii(record["value"]))
def test_text_rules_agree_with_go(record: dict[str, Any]) -> None:
    """JSON, HTML, URL and environment rules give what Go's standard library gives."""
    names = {
        "json": "json-escaped-go",
        "html": "html-escaped-go",
        "path_unescape": "percent-decoded-strict",
        "user_info": "user-info-encoded",
        "query_escape": "form-encoded",
        "expand": "go-expand",
    }
    for key in names.keys() & record.keys():
        made = transform(names[key]).apply(Context(record["value"]))
        assert made == (None if record[key] is None else record[key].encode()), key


@pytest.mark.parametrize("record", golden("go_template.json"), ids=lambda record: ascii(record["value"]))
def test_templates_agree_with_go(record: dict[str, Any]) -> None:
    """A template of fields, comments and plain literals renders, or fails, as Go's text/template does."""
    rendered = transform("go-template-rendered").apply(Context(record["value"]))

    assert rendered == (None if record["rendered"] is None else record["rendered"].encode())


def _as_pyyaml_reads(password: str) -> tuple[object] | None:
    try:
        document = yaml.safe_load(f"password: {password}")
    except (yaml.YAMLError, ValueError):
        return None
    if not isinstance(document, dict) or list(document) != ["password"]:
        return None
    value = document["password"]
    return None if isinstance(value, dict | list | bytes | set) else (value,)


def _as_we_read(password: str) -> tuple[object] | None:
    scalar = read(password)
    if scalar is None or not scalar.plain:
        return None if scalar is None else (scalar.text,)
    try:
        return (yaml_11(scalar.text),)
    except (ValueError, OverflowError):
        return None


def test_unquoted_values_are_read_as_pyyaml_reads_them() -> None:
    """Plain scalars, comments, tags, anchors and quotes are read and typed as PyYAML does, without PyYAML."""
    one_line = [password for password in POOL if len((password + "|").splitlines()) == 1]

    differing = [password for password in one_line if repr(_as_pyyaml_reads(password)) != repr(_as_we_read(password))]

    assert len(one_line) > 2000
    assert differing == []


# docs/palette.md §2.4: which variant changes which probe password.
PROBES = {
    "Passw0rdPassw0rd": "SCNWIL",
    "Passw0rdPassw0rdX": "I",
    "Passw0rdPassw0rdXy": "NI",
    "Passw0rdPassw0rdXyZ": "NI",
    "SGFybmVzc1Byb2Jl": "SUPCNWIL",
    "1234567890123456": "SCNWIL",
    "abcdefghijklmnop": "SCNWIL",
    "Pass+w0rd/Passw0": "SCNL",
    "SGFybmVzc1ByeA==": "SUPCNWL",
    "Passw0rdPassw0==": "SNWL",
    "Pass-w0rd_Passw0": "W",
    "Passw0rd!Passw0r": "",
    "Passw0rd!Passw0rd": "L",
    "Pa!sw#rd*Passw0r": "",
    "Passw0rdPassw0rd\n": "SNWL",
    "abcd": "SCNWIL",
    "pässwordpässword": "",
    "Passw0rd.Passw0r": "",
    "cWhIZEJ0ZEHDqcOx": "SUCNWIL",
}


@pytest.mark.parametrize(("password", "variants"), PROBES.items(), ids=[ascii(probe) for probe in PROBES])
def test_variants_change_the_probes_of_the_facts(password: str, variants: str) -> None:
    """Each variant of the known issue corrupts exactly the probe passwords that the facts list for it."""
    corrupting = {letter for letter in "SUPCNWIL" if transform(VARIANTS[letter]).changed(Context(password))}

    assert corrupting == set(variants)


def test_the_gate_variants_differ_where_the_facts_say() -> None:
    """J equals S on alphanumerics and leaves '+' alone, H fails where J falls back, E changes everything."""
    assert transform(VARIANTS["J"]).changed(Context("abcd"))
    assert not transform(VARIANTS["J"]).changed(Context("ab+/"))
    assert transform(VARIANTS["H"]).apply(Context("abcde")) is None
    assert transform(VARIANTS["M"]).apply(Context("Pa!sw#rd*Passw0r")) is None
    assert all(transform(VARIANTS["E"]).changed(Context(password)) for password in PROBES)


@pytest.mark.parametrize("length", range(1, 30))
def test_the_guides_known_issue_spares_no_alphanumeric_password(length: int) -> None:
    """Decoding with ignored errors changes an alphanumeric password of any length."""
    assert transform("base64-alphanumeric-prefix").changed(Context("a" * length))


def test_an_unknown_transform_is_refused_with_near_names() -> None:
    """Looking up a transform that does not exist names the ones that are spelled like it."""
    with pytest.raises(ValueError, match=r"unknown transform 'base64-standart'; near it: base64-standard"):
        transform("base64-standart")


def test_a_lone_surrogate_is_refused_without_its_surroundings() -> None:
    """Text that has no UTF-8 is refused; the message gives the place, not the text."""
    with pytest.raises(ValueError, match="character 6 is a lone surrogate") as refused:
        Context("secret\ud800")

    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None


def test_the_text_of_a_context_shows_no_value() -> None:
    """Neither repr nor str of a context contains the password."""
    assert "Passw0rd" not in f"{Context('Passw0rd')!r} {Context('Passw0rd')}"


def test_the_catalogue_needs_the_standard_library_only(tmp_path: Path) -> None:
    """The catalogue can be copied to an Edge host that has nothing but Python."""
    package = Path(sys.modules["registry.transforms"].__file__ or "").parent
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "transforms").symlink_to(package)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import registry.transforms as t; "
        "known = {*sys.stdlib_module_names, 'registry', '__main__'}; "
        "print(len(t.TRANSFORMS), sorted({name.split('.')[0] for name in sys.modules} - known))"
    )

    ran = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout == f"{len(TRANSFORMS)} []\n"


def test_the_pool_holds_hostile_text() -> None:
    """The generated passwords that these tests stand on differ from one another and reach every class."""
    assert len(set(POOL)) > 2500
    assert [name for name, known in CLASSES.items() if not any(known.contains(each.encode()) for each in POOL)] == []
    assert list(hostile(3, seed=1)) == list(hostile(3, seed=1))
