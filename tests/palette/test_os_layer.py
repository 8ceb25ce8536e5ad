"""The OS layer's YAML: what is written is what is meant, whatever the password."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from palette.os_layer import (
    Form,
    KeySpelling,
    OsLayer,
    ProviderCredentials,
    UnwritableError,
    double_quoted,
    inside_double_quotes,
    macro,
    scalar,
)
from protected import Secret

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HAZARDS = [
    "!abc", "*abc", "#abc", "abc #x", "&a", "%x", "@x", "`x", "=", "<<", "- x", "-", "?", "[a", "]", "{a}", "{{x}}",
    "'a", '"a', "a: b", "~", "null", "true", "y", "n", "on", "1e3", "08", "0o17", "0123", "0x1F", "1_000", "12:30:45",
    "2026-11-22", ".inf", "+1", "******", " lead", "trail ", "", "a\\nb", "a\nb", "a\r\nb", "a\tb", "a\0b", "a\x07b",
    "a\x1b[0m", "a\x7fb", "a\x85b", "a\xa0b", "a\u2028b", "a\ufeffb", "pässwörd", "пароль", "😀", "\U0010ffff",
    "a\0001",
]  # fmt: skip
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def written(password: str, form: Form = Form.DOUBLE) -> object:
    """Write credentials with a password and read it back."""
    layer = OsLayer("r.test/i:1", ProviderCredentials("r.test", "u", password), password_form=form)
    return yaml.safe_load(layer.values())["providerCredentials"]["password"]


@pytest.mark.parametrize("password", HAZARDS)
@pytest.mark.parametrize("form", [Form.DOUBLE, Form.DOUBLE_AS_TYPED])
def test_hazards_of_yaml_are_written_as_they_are_meant(password: str, form: Form) -> None:
    """Every text that a bare word, a tag, an alias, a comment or a control character would change arrives unchanged."""
    assert written(password, form) == password


@given(TEXTS)
def test_every_text_between_double_quotes_is_read_as_itself(text: str) -> None:
    """There is no text that quoting changes, and the quoted form is printable ASCII on one line."""
    quoted = double_quoted(text)

    assert yaml.safe_load(f"k: {quoted}\n") == {"k": text}
    assert quoted.isascii()
    assert quoted.isprintable()


@given(TEXTS)
def test_text_as_typed_between_double_quotes_is_read_as_itself(text: str) -> None:
    """Letters of any script may stay as a person types them."""
    assert yaml.safe_load(f"k: {double_quoted(text, as_typed=True)}\n") == {"k": text}


@given(TEXTS)
def test_a_macro_value_means_the_text_where_its_reference_is_quoted(text: str) -> None:
    """The macro is filled in before the YAML is read, so its value is escaped for the quotes around it."""
    values = OsLayer("r.test/i:1", ProviderCredentials("r.test", "u", macro("secret"))).values()
    filled = values.replace(macro("secret"), inside_double_quotes(text))

    assert yaml.safe_load(filled)["providerCredentials"]["password"] == text


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_character_is_refused(text: str) -> None:
    """A lone surrogate cannot be sent in any encoding and is refused by name."""
    with pytest.raises(UnwritableError, match=r"U\+D"):
        double_quoted(text)


@given(text=TEXTS, form=st.sampled_from([Form.SINGLE, Form.LITERAL, Form.LITERAL_STRIP, Form.LITERAL_KEEP]))
def test_other_forms_mean_the_text_or_are_refused(text: str, form: Form) -> None:
    """Single quotes and blocks keep the text, up to the line breaks at its end that their indicator speaks of."""
    try:
        value = yaml.safe_load(f"a:\n  k: {scalar(text, form, depth=4)}\nb: 1\n")["a"]["k"]
    except UnwritableError:
        return
    kept = {Form.LITERAL_STRIP: text.rstrip("\n"), Form.LITERAL: text.rstrip("\n") + "\n" if text.strip("\n") else ""}
    assert value in {kept.get(form, text), kept.get(form, text + "\n")}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form.SINGLE, "password: 'it''s #1'"),
        (Form.DOUBLE, 'password: "it\'s #1"'),
        (Form.PLAIN, "password: it's #1"),
        (Form.LITERAL, "password: |\n    it's #1"),
        (Form.FOLDED_STRIP, "password: >-\n    it's #1"),
    ],
)
def test_the_form_of_the_password_can_be_chosen(form: Form, expected: str) -> None:
    """A case about YAML writes the password in the form it is about."""
    layer = OsLayer("r.test/i:1", ProviderCredentials("r.test", "u", "it's #1"), password_form=form)

    assert expected in layer.values()


def test_a_bare_password_is_written_whatever_it_means() -> None:
    """Choosing the bare form gives the hazard on purpose."""
    assert written("12345678", Form.PLAIN) == 12345678
    assert written("abc #x", Form.PLAIN) == "abc"


def test_the_guides_key_names_are_the_default() -> None:
    """The guide writes user and certificates; the pack's own page writes username and certificate."""
    credentials = ProviderCredentials("r.test:5000", "robot$p+x", "pw", PEM)
    guide = yaml.safe_load(OsLayer("r.test/i:1", credentials).values())["providerCredentials"]
    page = yaml.safe_load(OsLayer("r.test/i:1", credentials, KeySpelling.PACK_PAGE).values())["providerCredentials"]

    assert guide == {"registry": "r.test:5000", "user": "robot$p+x", "password": "pw", "certificates": PEM}
    assert page == {"registry": "r.test:5000", "username": "robot$p+x", "password": "pw", "certificate": PEM}


def test_the_shape_is_that_of_the_guide() -> None:
    """Credentials stand at the root, the image is listed through the pack macro, system.uri is one key with a dot."""
    read = yaml.safe_load(OsLayer("r.test/i:1", ProviderCredentials("r.test", "u", "p")).values())

    assert read["pack"] == {"content": {"images": [{"image": "{{.spectro.pack.edge-native-byoi.options.system.uri}}"}]}}
    assert read["options"] == {"system.uri": "r.test/i:1"}
    assert list(read) == ["pack", "providerCredentials", "options"]


def test_nothing_is_written_that_was_not_asked_for() -> None:
    """Without credentials, certificate or flag, their keys are absent."""
    assert "providerCredentials" not in yaml.safe_load(OsLayer("r.test/i:1").values())
    assert set(
        yaml.safe_load(OsLayer("r.test/i:1", ProviderCredentials("r", "u", "p")).values())["providerCredentials"]
    ) == {"registry", "user", "password"}


@pytest.mark.parametrize("flag", [True, False])
def test_the_encoded_flag_is_a_boolean(*, flag: bool) -> None:
    """The flag is written as YAML's own true or false."""
    credentials = ProviderCredentials("r", "u", "p", encoded_password=flag)

    assert yaml.safe_load(OsLayer("r.test/i:1", credentials).values())["providerCredentials"]["encodedPassword"] is flag


@pytest.mark.parametrize(
    "pem",
    [
        PEM,
        PEM * 2,
        PEM.rstrip("\n"),
        PEM + "\n\n",
        PEM.replace("\n", "\r\n"),
        "\n" + PEM,
        "  " + PEM,
        "\t" + PEM,
        "# comment\n" + PEM,
        "\ufeff" + PEM,
        "",
        "no pem",
    ],
)
def test_a_certificate_arrives_byte_for_byte(pem: str) -> None:
    """A certificate is written as a block as people do it, unless only quoting keeps its line ends and blanks."""
    credentials = ProviderCredentials("r", "u", "p", pem)
    values = OsLayer("r.test/i:1", credentials).values()

    assert yaml.safe_load(values)["providerCredentials"]["certificates"] == pem
    assert ("certificates: |\n" in values) == (pem in (PEM, PEM * 2, "# comment\n" + PEM))


def test_a_protected_password_is_revealed_in_the_values_only() -> None:
    """The values need the password; the objects do not show it."""
    layer = OsLayer("r.test/i:1", ProviderCredentials("r", "u", Secret("pw-SECRET")))

    assert "pw-SECRET" in layer.values()
    assert "SECRET" not in repr(layer)
