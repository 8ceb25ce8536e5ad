"""What each kind of failure becomes: tried on real servers that fail in one way each."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from palette import Palette, PaletteError, RetryPolicy, Timeouts
from palette.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    NotPaletteError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
    UnreachableError,
)
from registry.tls import Authority
from tests.palette.servers import Request, answer, cut_off, half_close, hang_up, page, refuse, reset, serving, silent

ONCE = RetryPolicy(attempts=1)
HASTY = Timeouts(connect=0.3, answer=0.3)

STATUSES = [
    (400, BadRequestError),
    (401, UnauthorizedError),
    (403, ForbiddenError),
    (404, NotFoundError),
    (409, ConflictError),
    (422, InvalidError),
    (429, RateLimitedError),
    (500, ServerError),
    (503, ServerError),
]


def failure(palette: Palette) -> PaletteError:
    """Return the error of a plain read."""
    with pytest.raises(PaletteError) as caught:
        palette.edge_hosts.get("host-1")
    return caught.value


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_each_refusal_has_its_own_type_and_tells_palettes_words(
    status: int, kind: type[PaletteError], client: Callable[..., Palette]
) -> None:
    """A refusal carries Palette's code, message and ref, the request's method and path, and says what to do."""
    with serving(refuse(status, "TheCode", "the words")) as server:
        error = failure(client(server.url, retry=ONCE))

    assert type(error) is kind
    assert (error.code, error.message, error.ref, error.status) == ("TheCode", "the words", "ref-1", status)
    assert error.request == "GET /v1/edgehosts/host-1"
    assert str(error).startswith(f"GET /v1/edgehosts/host-1: {status} TheCode: the words (ref ref-1). ")
    assert kind.advice in str(error)


def test_every_refusal_gives_another_advice() -> None:
    """No two kinds of failure tell a person to do the same."""
    kinds = {kind for _, kind in STATUSES} | {UnreachableError, NotPaletteError, PaletteError}

    assert len({kind.advice for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (502, b"<html>Bad Gateway</html>", "text/html: '<html>Bad Gateway</html>'"),
        (403, b"", "Forbidden"),
        (404, b'["not", "an", "object"]', "not"),
        (409, b'{"code": 7, "message": null}', "Conflict"),
        (422, b"\xff\xfe\x00\x1b[31m", "\\x1b[31m"),
    ],
)
def test_an_error_that_is_no_envelope_is_told_as_it_came(
    status: int, content: bytes, expected: str, client: Callable[..., Palette]
) -> None:
    """A gateway's page, an empty body or a damaged envelope still makes a readable error without raw control codes."""
    with serving(page(status, content)) as server:
        error = failure(client(server.url, retry=ONCE))

    assert error.status == status
    assert expected in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("content", [b"<html>Log in</html>", b"", b"[]", b'"text"', b"{", b"\xff"])
def test_a_success_that_is_no_json_object_is_not_palette(content: bytes, client: Callable[..., Palette]) -> None:
    """A portal's page with status 200 is an error of its own and never an empty result."""
    with serving(page(200, content)) as server:
        error = failure(client(server.url, retry=ONCE))

    assert type(error) is NotPaletteError


def test_a_redirect_is_not_followed(client: Callable[..., Palette]) -> None:
    """The key stays with the host it was meant for, and the error names the host that was pointed to."""
    with serving(answer({})) as other:
        with serving(answer({}, 302, Location=f"{other.url}/elsewhere?token=x")) as server:
            error = failure(client(server.url, retry=ONCE))

        assert other.requests == []
    assert type(error) is NotPaletteError
    assert "redirects to http://127.0.0.1" in str(error)
    assert "token" not in str(error)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(reset, "Reset"), (hang_up, "Reset"), (cut_off, "CutOff"), (half_close, "Reset"), (silent, "Timeout")],
)
def test_a_broken_answer_is_unreachable_palette(
    behaviour: Callable[[Request], None], code: str, client: Callable[..., Palette]
) -> None:
    """A reset, a connection closed early and an answer that never comes are told apart in a word."""
    with serving(behaviour) as server:
        patience = HASTY if behaviour is silent else Timeouts()
        error = failure(client(server.url, retry=ONCE, timeouts=patience))

    assert (type(error), error.code, error.status) == (UnreachableError, code, None)


def test_a_port_without_listener_or_a_name_without_address_is_unreachable(client: Callable[..., Palette]) -> None:
    """A refused connection says so and cannot have changed anything; an unknown host name says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failure(client(f"http://127.0.0.1:{taken.getsockname()[1]}", retry=ONCE))

    assert (error.code, error.outcome_unknown) == ("Refused", False)
    assert failure(client("https://palette.invalid", retry=ONCE)).code == "Name"


@pytest.mark.parametrize(("trusted", "name"), [(False, "127.0.0.1"), (True, "other.example.test")])
def test_a_certificate_of_another_authority_or_name_is_refused(
    name: str, client: Callable[..., Palette], tmp_path: Path, *, trusted: bool
) -> None:
    """A server that the authority does not vouch for by the URL's name is not talked to, and not tried again."""
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    with serving(answer({}), certificate=authority.issue(name)) as server:
        error = failure(client(server.url, **({"authority": tmp_path / "ca.pem"} if trusted else {})))

    assert error.code == "TLS"
    assert "certificate is not accepted" in str(error)
    assert server.requests == []


def test_an_own_authority_is_used_whatever_the_environment_says(
    client: Callable[..., Palette], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE and the proxies of the environment do not reach the client."""
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "other.pem").write_text(Authority().pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with serving(answer({"metadata": {"uid": "h"}}), certificate=authority.issue("127.0.0.1")) as server:
        host = client(server.url, authority=tmp_path / "ca.pem").edge_hosts.get("h")

    assert host.uid == "h"


def test_infrastructure_is_told_from_refusal() -> None:
    """Failures of Palette itself are marked, so that a verdict can be "dead" and not "fail"."""
    marked = {kind for kind in PaletteError.__subclasses__() if kind.is_infrastructure}

    assert marked == {RateLimitedError, ServerError, UnreachableError, NotPaletteError}
