"""The vectors themselves: every file is right, every claim in a record is true, and mistakes are named."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.vectors import Vector, VectorError, load, loading
from fixtures.vectors.__main__ import main
from fixtures.vectors.catalogue import KINDS, VectorKind
from fixtures.vectors.maintenance import problems
from registry.address import RegistryAddress
from registry.flawed_certificates import SETUPS, make
from registry.htpasswd import unusable

PASSWORDS = load("passwords", applicable=False)
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
YAML_TYPES = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    type(None): "null",
    dt.date: "date",
    dt.datetime: "datetime",
    bytes: "bytes",
    dict: "map",
    list: "list",
}


def named(vector: Vector) -> str:
    """Name a vector in a test's id."""
    return vector.id


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_file_is_right(kind: VectorKind) -> None:
    """Each file follows its schema, is numbered and formatted, explains its flags and covers every row."""
    assert problems(kind) == []


@pytest.mark.parametrize(
    ("vector", "credential"),
    [(vector, (vector.details.get("username", "user"), vector)) for vector in PASSWORDS if vector.is_text]
    + [(vector, (vector, "Passw0rd!")) for vector in load("usernames")],
    ids=lambda value: value.id if isinstance(value, Vector) else "",
)
def test_acceptance_by_the_registry_follows_its_rules(vector: Vector, credential: tuple[Any, Any]) -> None:
    """A record says that the registry accepts a credential, or by which rule it does not, as the account file does."""
    username, password = (part.text if isinstance(part, Vector) else part for part in credential)
    broken = unusable(username, password)

    assert vector.registry_accepts == (broken is None)
    assert vector.details.get("registry_rule") == (broken.rule if broken else None)


@pytest.mark.parametrize("vector", load("addresses"), ids=named)
def test_addresses_mean_what_they_say(vector: Vector) -> None:
    """An address is read as the host and port of its record, and one that is invalid is refused."""
    if vector.result == "invalid":
        with pytest.raises(ValueError, match="registry"):
            RegistryAddress.parse(vector.text)
    else:
        assert RegistryAddress.parse(vector.text) == RegistryAddress(vector.details["host"], vector.details["port"])


def test_every_certificate_set_up_is_a_vector() -> None:
    """Each set-up that can be made has a record, and each record that can be used names a set-up."""
    assert sorted(vector.text for vector in load("certificates")) == sorted(SETUPS)


@pytest.mark.parametrize("vector", load("certificates"), ids=lambda vector: f"{vector.id}-{vector.text}")
def test_certificate_results_are_those_of_the_set_up(vector: Vector) -> None:
    """A record's result is that of the set-up it names, for a domain name and for an IP address."""
    assert make(vector.text, "registry.example.org").verdict == vector.result
    assert make(vector.text, "192.0.2.10").verdict == vector.details.get("result_for_ip_address", vector.result)


@pytest.mark.parametrize("vector", load("images"), ids=named)
def test_image_results_follow_the_grammar(vector: Vector) -> None:
    """A tag, repository or digest is flagged as outside of the grammar exactly where it is."""
    grammar = {"tag": TAG, "repository": REPOSITORY, "digest": DIGEST}.get(vector.details["part"])
    if grammar:
        assert (grammar.fullmatch(vector.text) is None) == ("grammar" in vector.flags)


@pytest.mark.parametrize("vector", load("yaml_forms", applicable=False), ids=named)
def test_yaml_forms_are_read_as_recorded(vector: Vector) -> None:
    """A YAML 1.1 reader finds in a form what its record says, and a valid one is read as it was meant."""
    kind, text = _password_in(vector.text)

    assert (kind, text) == (vector.details["reads"], vector.details.get("text"))
    if vector.result == "valid":
        assert text == vector.details["means"]


def _password_in(form: str) -> tuple[str, str | None]:
    try:
        document = yaml.safe_load(form)
    except (yaml.YAMLError, ValueError):
        return "error", None
    if "providerCredentials" in document:
        document = document["providerCredentials"]
    if not isinstance(document, dict) or "password" not in document:
        return "absent", None
    password = document["password"]
    return YAML_TYPES[type(password)], password if isinstance(password, str) else None


def test_values_that_json_cannot_hold_come_out_as_bytes() -> None:
    """A value with an encoding of its own, or repeated, is given as the bytes it stands for."""
    by_comment = {vector.comment: vector for vector in PASSWORDS}

    assert by_comment["72 bytes: all that bcrypt reads"].value == b"x" * 72
    latin = next(vector for vector in PASSWORDS if not vector.is_text)
    assert latin.value == "p\u00e4ssw\u00f6rd".encode("latin-1")
    with pytest.raises(UnicodeDecodeError):
        _ = latin.text


def test_loading_selects_by_flags_and_leaves_out_what_no_case_can_use() -> None:
    """Vectors are selected by flags, and those that cannot apply come only when they are asked for."""
    strict = load("passwords", flags=["alphanumeric", "base64-strict"])

    assert strict
    assert all({"alphanumeric", "base64-strict"} <= set(vector.flags) for vector in strict)
    assert any(vector.not_applicable for vector in load("usernames", applicable=False))
    assert not any(vector.not_applicable for vector in load("usernames"))


def test_hostile_values_do_not_stand_in_the_files_as_they_are() -> None:
    """The files are printable ASCII, so that no editor or review shows something else than what is there."""
    for kind in KINDS.values():
        assert re.fullmatch(r"[\x20-\x7e\n]*", kind.path.read_text(encoding="utf-8")), kind.path.name


def test_an_unknown_file_is_refused() -> None:
    """Asking for vectors that do not exist names the ones that do."""
    with pytest.raises(ValueError, match="unknown vector file 'paswords'; there are passwords, usernames"):
        load("paswords")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VectorKind]:
    """Yield the passwords as a copy that a test may spoil."""
    shutil.copy(KINDS["passwords"].path, tmp_path)
    monkeypatch.setattr("fixtures.vectors.catalogue.FOLDER", tmp_path)
    loading._all.cache_clear()
    yield KINDS["passwords"]
    loading._all.cache_clear()


def spoil(kind: VectorKind, **changes: object) -> None:
    """Change fields of the record PW-003; None takes a field away."""
    document = json.loads(kind.path.read_text())
    record = document["vectors"][2]
    record.update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del record[key]
    kind.path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"result": "fine"}, r"passwords\.json: PW-003\.result: 'fine' is not one of"),
        ({"comment": None}, r"passwords\.json: PW-003: 'comment' is a required property"),
        ({"colour": "red"}, r"passwords\.json: PW-003: .*'colour' was unexpected"),
        ({"registry_accepts": False}, r"passwords\.json: PW-003: 'registry_rule' is a required property"),
        ({"rows": ["P-1"]}, r"passwords\.json: PW-003\.rows\.0: 'P-1' does not match"),
        ({"value": 3}, r"passwords\.json: PW-003\.value: 3 is not of type 'string'"),
        ({"comment": ""}, r"passwords\.json: PW-003\.comment: .* \(at least \d+ long\)"),
        ({"times": 1}, r"passwords\.json: PW-003\.times: 1 is less than the minimum"),
    ],
)
def test_a_wrong_record_is_named(copied: VectorKind, changes: dict[str, object], message: str) -> None:
    """Loading a file with a wrong record names the file, the record, the field and what is wrong with it."""
    spoil(copied, **changes)

    with pytest.raises(VectorError, match=message):
        load("passwords")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"flags": ["alfanumeric"]},
            "PW-003: flag 'alfanumeric' is not explained; the explained ones are alphanumeric",
        ),
        ({"id": "PW-030"}, "PW-030: should be PW-003; run ./run vectors renumber passwords"),
        ({"value": "test"}, "PW-005: the same value stands in an earlier record"),
        ({"value": "?", "encoding": "base64"}, "PW-003: value is not base64"),
        ({"value": "ab-cd"}, "PW-003: flag 'alphanumeric' does not hold for the value"),
        ({"value": "n\u00e4w!"}, "PW-003: flag 'non-ascii' is missing, which holds for the value"),
        ({"flags": ["alphanumeric"]}, "PW-003: flag 'base64-strict' is missing, which holds for the value"),
        ({"value": "a\0b"}, "PW-003: flag 'nul' is missing"),
        ({"value": "cOQ=", "encoding": "base64"}, "PW-003: flag 'not-utf8' is missing"),
        ({"rows": ["P-99"]}, "PW-003: docs/vectors.md has no row 'P-99'; its rows go to P-37"),
    ],
)
def test_the_check_finds_what_a_schema_cannot(
    copied: VectorKind, changes: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command finds unexplained flags, wrong numbers, repeated values, wrong encodings, and ends with an error."""
    spoil(copied, **changes)

    assert main(["check"]) == 1
    assert message in capsys.readouterr().out


def test_a_row_without_a_record_is_an_error(copied: VectorKind) -> None:
    """Every row of the research must have a record; taking the only one away is noticed."""
    document = json.loads(copied.path.read_text())
    document["vectors"] = [record for record in document["vectors"] if "P-25" not in record["rows"]]
    copied.path.write_text(json.dumps(document))

    assert any("row P-25 of the research has no record" in problem for problem in problems(copied))


def test_a_key_that_stands_twice_is_an_error(copied: VectorKind) -> None:
    """A record whose key stands twice is refused instead of losing one of the values."""
    copied.path.write_text(copied.path.read_text().replace('{"id": "PW-001",', '{"id": "PW-001", "id": "PW-001",'))

    with pytest.raises(VectorError, match=r"passwords\.json: cannot be read: key 'id' stands twice"):
        load("passwords")


def test_adding_numbers_and_checks_the_record(copied: VectorKind, capsys: pytest.CaptureFixture[str]) -> None:
    """A record is added under the next number; a wrong one leaves the file as it was."""
    count = len(PASSWORDS)
    record = {
        "value": "n\u00e4w!",
        "rows": ["P-21"],
        "flags": ["non-ascii"],
        "comment": "a new one",
        "result": "valid",
        "sources": ["this test"],
        "registry_accepts": True,
    }

    assert main(["add", "passwords", json.dumps(record)]) == 0
    assert capsys.readouterr().out == f"added PW-{count + 1:03}\n"
    assert problems(copied) == []
    before = copied.path.read_text()
    refused: tuple[object, ...] = (record, {**record, "value": "other", "flags": ["new-flag"]}, [], "text")
    for wrong in refused:
        assert main(["add", "passwords", json.dumps(wrong)]) == 1
    with pytest.raises(SystemExit, match="4"):
        main(["add", "passwords", "{"])
    assert "argument record: the record is no JSON (Expecting property name" in capsys.readouterr().err
    assert copied.path.read_text() == before


def test_renumbering_follows_the_order(copied: VectorKind, capsys: pytest.CaptureFixture[str]) -> None:
    """After a record was moved or removed by hand, one command gives ids and form back."""
    document = json.loads(copied.path.read_text())
    document["vectors"].insert(0, document["vectors"].pop())
    copied.path.write_text(json.dumps(document))

    assert main(["renumber", "passwords"]) == 0
    assert capsys.readouterr().out == f"passwords.json: {len(PASSWORDS)} ids changed\n"
    assert problems(copied) == []
