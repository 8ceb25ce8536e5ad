"""Whatever a registry answers, the harness' client ends with a value or a RegistryError, and keeps its password."""

from __future__ import annotations

import contextlib
import email.utils
import json
import random
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from registry import session as session_module
from registry.address import RegistryAddress, is_of_one_family
from registry.client import RegistryClient
from registry.manifests import OCI_INDEX, Manifest, RegistryError, digest_of
from registry.pulls import Target
from registry.tls import Authority
from tests.foreign.hostile import answers, ending, judge, many
from tests.palette.servers import Request, hang_up, reset, serving, silent
from waiting.retry import RetryPolicy

Answer = tuple[int, dict[str, str], bytes] | Callable[[Request], None]
HASTY = RetryPolicy(attempts=3, first_pause=0.0, jitter=0.0, give_up_after=5.0)
AUTHORITY = Authority()
BASIC = {"WWW-Authenticate": 'Negotiate, Basic realm="r"'}


class Scripted:
    """A registry that answers as a function says; ``seen`` has method, path and credential of each request."""

    def __init__(self, answer: Callable[[str, str, str], Answer]) -> None:
        self.answer, self.seen, self.port = answer, list[tuple[str, str, str]](), 0

    def client(self) -> RegistryClient:
        """Return a client of it."""
        address = RegistryAddress("127.0.0.1", self.port)
        return RegistryClient(address, "edge", "secret-4711", authorities=AUTHORITY.pem, retry=HASTY)


@contextlib.contextmanager
def scripted(answer: Callable[[str, str, str], Answer]) -> Iterator[Scripted]:
    """Run one."""
    registry = Scripted(answer)

    def act(request: Request) -> None:
        asked = (request.method, request.url, request.handler.headers.get("Authorization", ""))
        registry.seen.append(asked)
        said = registry.answer(*asked)
        if callable(said):
            said(request)
        else:
            request.send(said[0], said[2], **{"Connection": "close", **said[1]})

    with serving(act, certificate=AUTHORITY.issue("127.0.0.1")) as server:
        registry.port = server.port
        yield registry


def with_login(then: Answer) -> Callable[[str, str, str], Answer]:
    """Ask for a login first."""
    return lambda _method, _path, login: then if login else (401, BASIC, b"")


def test_negotiate_before_basic_is_no_obstacle() -> None:
    """A scheme that the client does not know is passed over."""
    with scripted(with_login((200, {}, b"{}"))) as registry:
        registry.client().login()
        assert [login[:5] for _, _, login in registry.seen] == ["", "Basic"]


@pytest.mark.parametrize(
    "realm", ["https://evil.example/token", "http://127.0.0.1:1/token", "https://[x", "file:///x", "", '"', '/token" "']
)
def test_the_password_goes_to_no_foreign_realm(realm: str) -> None:
    """A realm of another domain, without TLS, unreadable or absent is refused before anything is sent."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
    with scripted(lambda *_: (401, challenge, b"")) as registry, pytest.raises(RegistryError) as caught:
        registry.client().login()
    assert all(not login for _, _, login in registry.seen)
    assert "secret-4711" not in str(caught.value)


def test_a_registry_that_answers_a_token_with_basic_gets_it() -> None:
    """Harbor gives weak tokens to anybody and asks for Basic when one is presented: the password goes there next."""

    def answer(_method: str, path: str, login: str) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "weak"}'
        if login.startswith("Basic"):
            return 200, {}, b""
        return 401, BASIC if login else {"WWW-Authenticate": 'Bearer realm="/token", Basic realm="r"'}, b""

    with scripted(answer) as registry:
        registry.client().login()
        logins = [login.partition(" ")[0] for _, path, login in registry.seen if path == "/v2/"]
    assert logins == ["", "Bearer", "Basic"]


def test_a_relative_realm_without_a_service_gives_a_token() -> None:
    """The realm is joined with the registry's URL, and no empty service is sent."""

    def answer(_method: str, path: str, login: str) -> Answer:
        if path.startswith("/v2/token"):
            return 200, {}, b'{"token": "t"}'
        return (200, {}, b"") if login == "Bearer t" else (401, {"WWW-Authenticate": 'Bearer realm="/v2/token"'}, b"")

    with scripted(answer) as registry:
        registry.client().login()
        assert "/v2/token" in [path for _, path, _ in registry.seen]


@pytest.mark.parametrize(
    ("host", "registry", "is_one"),
    [
        ("auth.docker.io", "registry-1.docker.io", True),
        ("gitlab.com", "registry.gitlab.com", True),
        ("evil.com", "registry.gitlab.com", False),
        ("evilgitlab.com", "registry.gitlab.com", False),
        ("evil.co.uk", "registry.co.uk", False),
        ("10.0.0.2", "10.0.0.1", False),
        ("fd00::2", "fd00::1", False),
    ],
)
def test_a_family_of_hosts(host: str, registry: str, is_one: bool) -> None:  # noqa: FBT001 - a case of the table
    """A password goes to the registry's own domain and no further."""
    assert is_of_one_family(host, registry) is is_one


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_registry_that_asks_for_patience_gets_it(status: int, form: str) -> None:
    """One refusal in the middle, with Retry-After in seconds or as a date, ends nothing."""
    now = email.utils.formatdate(1_700_000_000, usegmt=True)
    headers = {"Retry-After": "0" if form == "seconds" else now, "Date": now}
    answers = iter([(status, headers, b"<html>"), (200, {}, b'{"tags": ["v1"]}')])
    with scripted(lambda *_: next(answers)) as registry:
        assert registry.client().tags("a/b") == ["v1"]


@pytest.mark.parametrize("trouble", [(429, {"Retry-After": "0"}, b""), (503, {"Retry-After": "0.1"}, b"<html>")])
def test_a_token_endpoint_that_asks_for_patience_gets_it(trouble: Answer) -> None:
    """One refusal of the endpoint is no wrong password, and ends nothing."""
    answers = iter([trouble, (200, {}, b'{"access_token": "t"}')])

    def answer(_method: str, path: str, login: str) -> Answer:
        if path.startswith("/token"):
            return next(answers)
        return (200, {}, b"") if login == "Bearer t" else (401, {"WWW-Authenticate": 'Bearer realm="/token"'}, b"")

    with scripted(answer) as registry:
        registry.client().login()


@pytest.mark.parametrize("status", [200, 206])
def test_a_reset_in_the_middle_of_a_blob_ends_no_copy(status: int) -> None:
    """A blob that breaks off goes on where it was, also where the registry begins at its start again."""
    blob, piece = random.Random(1).randbytes(1 << 19), 1 << 18  # noqa: S311 - an example
    begun = (200, {"Content-Length": str(len(blob))}, blob[: piece + 300])
    answers = iter([begun, (status, {}, blob[piece:] if status == 206 else blob)])
    with scripted(lambda *_: next(answers)) as registry:
        assert b"".join(registry.client().blob("a/b", digest_of(blob))) == blob


def test_a_base_path_that_answers_everybody_confirms_no_password() -> None:
    """A wrong password that /v2/ lets in is refused where a manifest is asked for."""
    with scripted(lambda _m, path, _l: (200, {}, b"") if path == "/v2/" else (401, BASIC, b"")) as registry:
        refused = registry.client().refusal()
    assert refused is not None
    assert refused.status == 401


@pytest.mark.parametrize(
    "location",
    ["", "http://127.0.0.1/v2/x", "https://other.example/v2/x", "https://[x", "https://their:login@127.0.0.1:{port}/x"],
)
def test_an_upload_is_led_nowhere_else(location: str) -> None:
    """The error says where the registry sends uploads; no layer goes there."""

    def answer(method: str, _path: str, _login: str) -> Answer:
        where = {"Location": location.replace("{port}", str(registry.port))} if location else {}
        return (404, {}, b"") if method == "HEAD" else (202, where, b"")

    with scripted(answer) as registry, pytest.raises(RegistryError, match=r"sends uploads to|cannot be read"):
        registry.client().push_blob("a/b", digest_of(b"x"), 1, [b"x"])
    assert [method for method, _, _ in registry.seen] == ["HEAD", "POST"]


@pytest.mark.parametrize("location", ["42?state=x", "/v2/a/b/blobs/uploads/42?state=x", "../uploads/42?state=x"])
def test_an_upload_goes_on_where_a_relative_location_leads(location: str) -> None:
    """A location is relative to the URL that answered with it, as RFC 9110 has it."""
    said: dict[str, Answer] = {
        "HEAD": (404, {}, b""), "POST": (202, {"Location": location}, b""), "PUT": (201, {}, b""),
    }  # fmt: skip
    with scripted(lambda method, *_: said[method]) as registry:
        assert registry.client().push_blob("a/b", digest_of(b"x"), 1, [b"x"])
        assert registry.seen[-1][1].startswith("/v2/a/b/blobs/uploads/42?state=x&digest=")


@pytest.mark.parametrize(
    "trouble", [reset, hang_up, (502, {}, b"<html>"), (503, {"Retry-After": "0"}, b""), (429, {}, b"")]
)
@pytest.mark.parametrize("at", ["HEAD", "PUT"])
def test_an_upload_that_breaks_off_begins_anew(trouble: Answer, at: str) -> None:
    """A reset, a closed connection or a proxy's refusal in the middle ends no copy: the layer goes up again."""
    troubles = [trouble]

    def answer(method: str, _path: str, _login: str) -> Answer:
        if method == at and troubles:
            return troubles.pop()
        return {"HEAD": (404, {}, b""), "POST": (202, {"Location": "/v2/a/b/blobs/uploads/1"}, b"")}.get(
            method, (201, {}, b"")
        )

    with scripted(answer) as registry:
        assert registry.client().push_blob("a/b", digest_of(b"xy"), 2, [b"x", b"y"])
        asked = [method for method, _, _ in registry.seen]
    assert asked == (["HEAD"] * 2 + ["POST", "PUT"] if at == "HEAD" else ["HEAD", "POST", "PUT"] * 2)


def test_an_upload_that_never_succeeds_ends_in_one_line() -> None:
    """After the last try the failure is told, without the login, and bytes that cannot be had again are sent once."""

    def answer(method: str, _path: str, _login: str) -> Answer:
        return {"HEAD": (404, {}, b""), "POST": (202, {"Location": "/v2/u"}, b"")}.get(method, reset)

    for content, times in (([b"x"], 3), (iter([b"x"]), 1)):
        with scripted(answer) as registry, pytest.raises(requests.ConnectionError) as told:
            registry.client().push_blob("a/b", digest_of(b"x"), 1, content)
        assert [method for method, _, _ in registry.seen].count("PUT") == times
        assert told.value.request is None
        assert "secret" not in str(told.value)


def test_a_blob_behind_a_redirect_is_there() -> None:
    """HEAD is not followed to storage that is signed for GET."""
    with scripted(lambda *_: (307, {"Location": "https://storage.example/x"}, b"")) as registry:
        assert registry.client().has_blob("a/b", digest_of(b"x"))
        assert len(registry.seen) == 1


@pytest.mark.parametrize(
    "said", ["application/octet-stream", "text/plain", "", "Application/vnd.OCI.image.index.v1+json"]
)
def test_an_index_is_one_whatever_its_header_says(said: str) -> None:
    """The document's own type, or its shape, decides where the header does not."""
    with scripted(lambda *_: (200, {"Content-Type": said}, b'{"manifests": []}')) as registry:
        assert registry.client().manifest("a/b", "v1").media_type == OCI_INDEX


@pytest.mark.parametrize("base", ["", "https://{host}", "http://internal:5000", "//internal", "https://internal/"])
def test_tags_are_read_page_by_page(base: str) -> None:
    """Quay, GitLab and others cut a list after 50 or 100 tags; the link to the rest may name another host."""
    names = [f"v{number:03}" for number in range(120)]

    def answer(_method: str, path: str, _login: str) -> Answer:
        begin = int(path.partition("last=")[2] or 0)
        url = f"{base.format(host=f'127.0.0.1:{registry.port}')}/v2/a/b/tags/list?n=50&last={begin + 50}"
        more = {"Link": f'<{url}>; rel="next"'} if begin + 50 < len(names) else {}
        return 200, more, json.dumps({"tags": names[begin : begin + 50]}).encode()

    with scripted(answer) as registry:
        assert registry.client().tags("a/b") == names


def test_a_list_of_tags_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry whose last page leads to its first one is no reason to ask for ever."""
    monkeypatch.setattr("registry.client._MOST_PAGES", 3)
    more = {"Link": '</v2/a/b/tags/list?n=1>; rel="next"'}
    with scripted(lambda *_: (200, more, b'{"tags": ["v1"]}')) as registry:
        with pytest.raises(RegistryError, match="has more than 3 pages"):
            registry.client().tags("a/b")


@pytest.mark.parametrize("document", [b'{"errors": [{"code": "DENIED"}]}', b'{"tags": 5}', b'{"tags": [1]}'])
def test_what_is_no_list_of_tags_is_no_empty_one(document: bytes) -> None:
    """An error with status 200 does not mean that nothing is left to be removed."""
    with scripted(lambda *_: (200, {}, document)) as registry, pytest.raises(RegistryError, match="no list of tags"):
        registry.client().tags("a/b")


FORMS = {
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n%b",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n%b",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n10\r\n%b\r\n0\r\nX: y\r\n\r\n",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=[*FORMS])
def test_an_answer_in_another_form_of_http_is_read(form: bytes) -> None:
    """Content networks send hints first, old proxies speak HTTP/1.0, and chunks may have trailers."""

    def say(request: Request) -> None:
        request.handler.close_connection = True
        request.handler.connection.sendall(form % b'{"tags": ["v1"]}')

    with scripted(lambda *_: say) as registry:
        assert registry.client().tags("a/b") == ["v1"]


def test_a_registry_that_lets_nobody_ask_for_a_blob_gets_it() -> None:
    """Where HEAD is not allowed, the layer is sent."""
    said: dict[str, Answer] = {
        "HEAD": (405, {}, b""), "POST": (202, {"Location": "/v2/u"}, b""), "PUT": (201, {}, b""),
    }  # fmt: skip
    with scripted(lambda method, *_: said[method]) as registry:
        assert registry.client().push_blob("a/b", digest_of(b"x"), 1, [b"x"])


def test_a_page_for_everything_is_no_registry() -> None:
    """A proxy that answers every path with a page is not told to be a registry that lets everybody in."""
    with scripted(lambda *_: (200, {"Content-Type": "text/html"}, b"<html>")) as registry:
        with pytest.raises(RegistryError, match="nobody put it there"):
            registry.client().refusal()


def test_words_of_a_registry_are_one_line() -> None:
    """What a registry says in an error steers no terminal and fills none."""
    said = json.dumps({"errors": [{"code": "X" * (1 << 19), "message": "no\n\x1b[31m" + "x" * (1 << 19)}]}).encode()
    with scripted(lambda *_: (400, {}, said)) as registry, pytest.raises(RegistryError) as refused:
        registry.client().tags("a/b")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 3000


def test_a_token_endpoint_that_moved_is_told() -> None:
    """The password does not follow a redirect, and the message says where it led."""
    challenge = {"WWW-Authenticate": 'Bearer realm="/token"'}
    moved = (301, {"Location": "https://elsewhere.example/token/?x"}, b"")
    with scripted(lambda _m, path, _l: moved if "/token" in path else (401, challenge, b"")) as registry:
        with pytest.raises(RegistryError, match=r"redirects to https://elsewhere\.example/token/; the password"):
            registry.client().login()


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document larger than any manifest is an error."""
    monkeypatch.setattr(session_module, "LARGEST_DOCUMENT", 1000)
    with scripted(lambda *_: (200, {}, b"x" * 5000)) as registry, pytest.raises(RegistryError, match="more than 1000"):
        registry.client().tags("a/b")


def test_an_answer_that_does_not_come_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error that says so does not keep the request with its login."""
    monkeypatch.setattr(session_module, "READ_SECONDS", 0.3)
    began = time.monotonic()
    with scripted(lambda *_: silent) as registry, pytest.raises(requests.Timeout) as late:
        registry.client().tags("a/b")
    assert time.monotonic() - began < 10
    assert late.value.request is None


KEYS = ("tags", "token", "access_token", "manifests", "layers", "config", "errors", "mediaType", "digest", "code")
ASKED: list[Callable[[RegistryClient], object]] = [
    lambda client: client.login(),
    lambda client: client.refusal(),
    lambda client: client.tags("a/b"),
    lambda client: client.manifest("a/b", "v1").content,
    lambda client: client.has_blob("a/b", digest_of(b"x")),
    lambda client: client.push_blob("a/b", digest_of(b"x"), 1, [b"x"]),
    lambda client: client.push_manifest("a/b", "v1", Manifest(b"{}", OCI_INDEX)),
    lambda client: client.delete_manifest("a/b", digest_of(b"x")),
    lambda client: list(client.blob("a/b", digest_of(b"x"))),
]


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[RegistryAddress, list[bytes]]]:
    """Run a server that answers with whatever stands in the list."""
    said = [b""]

    def act(request: Request) -> None:
        request.handler.close_connection = True
        with contextlib.suppress(OSError):  # the client hangs up on what is too much
            request.handler.connection.sendall(said[0])

    with serving(act, certificate=AUTHORITY.issue("127.0.0.1")) as server:
        yield RegistryAddress("127.0.0.1", server.port), said


@many
@given(said=answers(KEYS), ask=st.sampled_from(ASKED))
def test_whatever_a_registry_answers_ends_in_a_registry_error(
    said: bytes,
    ask: Callable[[RegistryClient], object],
    hostile: tuple[RegistryAddress, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No decoder's exception gets out, whatever is asked, and no answer blames the product."""
    monkeypatch.setattr(session_module, "READ_SECONDS", 2.0)
    monkeypatch.setattr(session_module, "BLOB_SECONDS", 2.0)
    address, says = hostile
    says[0] = said
    once = RetryPolicy(attempts=1)
    try:
        with ending(), RegistryClient(address, "edge", "secret-4711", authorities=AUTHORITY.pem, retry=once) as client:
            shown = repr(ask(client))
    except (RegistryError, requests.ConnectionError, requests.Timeout) as error:
        judge(error)
        shown = str(error)

    assert "secret-4711" not in shown


def test_a_repository_with_an_endpoints_name_in_it_is_read_whole() -> None:
    """The last endpoint of a path counts: a part of a repository may be called blobs or tags."""
    assert Target.of("/v2/team/blobs/provider/manifests/v1") == Target("manifest", "team/blobs/provider", "v1")
    assert Target.of("/v2/a/tags/b/blobs/uploads/1") == Target("upload", "a/tags/b")
