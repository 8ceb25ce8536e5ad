"""Reading and rendering values: references, the OS layer, and the hazards of text that becomes YAML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.palette.values import DeclaredCredential, RenderError, Scopes, read_os_layer, render_values, resolve_macro
from tests.lab_palette.api import os_values

BYOI = "edge-native-byoi"


def layer(credentials: str) -> str:
    """Write an OS layer whose ``providerCredentials`` are this text."""
    return f"providerCredentials:\n{credentials}\noptions:\n  system.uri: a.test/b:1\n"


def credential_of(text: str) -> DeclaredCredential:
    """Read the credentials of an OS layer."""
    credential = read_os_layer(text).credential
    assert credential is not None
    return credential


@pytest.mark.parametrize(
    ("project", "tenant", "system", "value"),
    [
        ({"x": "p"}, {"x": "t"}, {"x": "s"}, "p"),
        ({}, {"x": "t"}, {"x": "s"}, "t"),
        ({}, {}, {"x": "s"}, "s"),
        ({"x": ""}, {"x": "t"}, {}, ""),
        ({"X": "p"}, {}, {}, None),
    ],
)
def test_a_macro_is_looked_up_in_project_then_tenant_then_system(
    project: dict[str, str], tenant: dict[str, str], system: dict[str, str], value: str | None
) -> None:
    """The nearest scope that has the name wins, even with an empty value; names are case-sensitive."""
    assert resolve_macro("x", Scopes(project, tenant, system)) == value


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        *(
            (f"a: {form}!", "a: v!")
            for form in ("{{.spectro.macro.a}}", "{{ .spectro.macro.a }}", "{{ .spectro.macro.a}}")
        ),
        ("{{.spectro.macro.a | b64enc | quote}}", '"dg=="'),
        ("'{{.spectro.macro.outer}}'", "'{{.spectro.macro.a}}'"),
        ("'{{b}} {{.Values.c}} {x} ${y}'", "'{{b}} {{.Values.c}} {x} ${y}'"),
    ],
    ids=["plain", "blanks", "a blank", "functions", "nested", "other braces"],
)
def test_references_are_replaced_and_nothing_else(text: str, rendered: str) -> None:
    """Blanks next to braces do not matter, a few functions work, macros do not nest, other braces are left alone."""
    scopes = Scopes(project={"a": "v", "outer": "{{.spectro.macro.a}}"})
    assert render_values(text, scopes) == rendered


def test_references_are_replaced_before_the_text_is_yaml() -> None:
    """A macro's value is YAML text with all its hazards: here it ends the scalar and starts a comment."""
    text = render_values(layer("  password: {{.spectro.macro.pw}}\n  user: u"), Scopes(project={"pw": "abc #def"}))
    assert credential_of(text).password == "abc"


def test_a_pack_reference_follows_a_key_that_holds_a_dot() -> None:
    """``options.system.uri`` is the key ``system.uri`` within ``options``, with its own macros resolved."""
    values = "options:\n  system.uri: '{{.spectro.macro.host}}/os:1'\n"
    scopes = Scopes(project={"host": "registry.test"}, packs={BYOI: values})
    assert render_values("{{.spectro.pack.edge-native-byoi.options.system.uri}}", scopes) == "registry.test/os:1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{.spectro.macro.none}}", "FailedResolveMacro"),
        ("{{.spectro.var.none}}", "FailedResolveVariable"),
        ("{{.spectro.pack.none.a}}", "FailedResolvePack"),
        ("{{.spectro.pack.edge-native-byoi.none}}", "FailedResolvePack"),
        ("{{.spectro.macro.a | nonsense}}", "FailedRender"),
        ("{{.spectro.macro.a | b64dec}}", "FailedRender"),
    ],
)
def test_what_cannot_be_resolved_is_named(text: str, reason: str) -> None:
    """A reference without a value fails with a reason of its own, never with an empty text."""
    with pytest.raises(RenderError) as error:
        render_values(text, Scopes(project={"a": "not base64"}, packs={BYOI: "options: {}"}))
    assert error.value.reason == reason


@given(
    password=st.text(
        st.characters(
            codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"
        ),
        min_size=1,
    )
)
def test_a_quoted_password_is_read_as_it_was_written(password: str) -> None:
    """Whatever a YAML writer quotes is what the credential holds."""
    assert credential_of(os_values(password=password)).password == password


@pytest.mark.parametrize("text", ["0123", "12:30:45", "1e3", "true", "yes", "2024-01-01", "0x1F", ".inf", "-x"])
def test_an_unquoted_scalar_keeps_its_text(text: str) -> None:
    """A password that YAML would type keeps the text that its author wrote, as in a string field of Go."""
    assert credential_of(layer(f"  password: {text}")).password == text


@pytest.mark.parametrize("text", ["", "null", "~"])
def test_a_null_password_is_empty(text: str) -> None:
    """Null is no text."""
    assert credential_of(layer(f"  password: {text}\n  user: u")).password == ""


@pytest.mark.parametrize(
    ("written", "user", "certificates"),
    [
        ("  user: a\n  certificates: C", "a", "C"),
        ("  username: b\n  certificate: D", "b", "D"),
        ("  username: b\n  user: a\n  certificate: D\n  certificates: C", "a", "C"),
        ("  username: b\n  user: ''", "", ""),
    ],
)
def test_the_guides_spelling_wins(written: str, user: str, certificates: str) -> None:
    """Both vendor pages' key names are honoured; where both are there, the guide's counts (docs/palette.md X2)."""
    credential = credential_of(layer(written))
    assert (credential.user, credential.certificates) == (user, certificates)


def test_an_encoded_password_is_decoded_once() -> None:
    """``encodedPassword: true`` means base64; what it decodes to is not decoded again."""
    assert credential_of(layer("  encodedPassword: true\n  password: WVdKag==")).password == "YWJj"
    assert credential_of(layer("  encodedPassword: false\n  password: YWJj")).password == "YWJj"


@pytest.mark.parametrize("password", ["not base64!", "YWJ", "/w=="])
def test_a_password_that_is_not_encoded_as_said_is_refused(password: str) -> None:
    """A password that is not base64 of text fails with a reason, and without the password in the message."""
    with pytest.raises(RenderError) as error:
        read_os_layer(layer(f"  encodedPassword: true\n  password: '{password}'"))
    assert error.value.reason == "FailedProviderCredentials"
    assert password not in str(error.value)


@pytest.mark.parametrize("level", ["pack", "options"])
def test_credentials_count_at_the_root_only(level: str) -> None:
    """``providerCredentials`` inside another key is not honoured (the guide, step 6)."""
    text = f"{level}:\n  providerCredentials: {{user: u, password: p}}\n  system.uri: x/y:1\n"
    text += "" if level == "options" else "options:\n  system.uri: x/y:1\n"
    assert read_os_layer(text).credential is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("options:\n  system.uri: NA\n", "FailedRender"),
        ("options:\n  system:\n    uri: nested/image:1\n", "FailedRender"),
        ("", "FailedRender"),
        ("password: ******\n", "FailedRender"),
        ("[" * 100_000, "FailedRender"),
        (layer("  - registry: one\n  - registry: two"), "FailedProviderCredentials"),
    ],
)
def test_a_layer_that_means_nothing_is_refused(text: str, reason: str) -> None:
    """No image, no YAML, absurd nesting, or two registries: the reason says which."""
    with pytest.raises(RenderError) as error:
        read_os_layer(text)
    assert error.value.reason == reason
