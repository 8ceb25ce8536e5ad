"""The token endpoints of a registry behind a witness: clients are led through the witness there, too.

A registry that gives tokens names the endpoint in its challenge (``Bearer realm="https://…"``). The witness names
itself in its place, compares the login that the endpoint is asked with, and knows by its token what a pull presented.
Tokens are kept as hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

from registry.address import is_of_one_family
from registry.challenges import challenges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.address import RegistryAddress
    from registry.classify import Presented

LARGEST_ANSWER = 1 << 20
"""Bytes of a token endpoint's answer."""

_MOST_ENDPOINTS = 16
_MOST_TOKENS = 10_000
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_REALM = r'(?i)(\brealm[ \t]*=[ \t]*"?){}(?=["\s,]|$)'
_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)


class TokenEndpoints:
    """Where the registry at ``upstream`` gives tokens, and what was presented for those it gave."""

    def __init__(self, upstream: RegistryAddress) -> None:
        self._upstream = upstream
        self._origins: dict[str, str] = {}
        self._obtained: dict[bytes, tuple[str, Presented]] = {}

    def origin_at(self, path: str) -> str:
        """Return scheme, host and port of the endpoint with this path; empty where there is none."""
        return self._origins.get(path.partition("?")[0], "")

    def led_through(self, header: str, host: str) -> str:
        """Return a ``WWW-Authenticate`` header whose token endpoints are at ``host``, as the client calls the witness.

        One to which no password for the registry may be sent stays as it is: plain HTTP, or of another domain.
        """
        for challenge in challenges(header):
            realm = challenge.parameters.get("realm", "")
            rest = self._known(realm) if challenge.scheme == "bearer" and realm else ""
            if rest and not realm.startswith("/"):
                led = f"https://{host}{rest}" if _HOST.fullmatch(host) else rest
                # a service may be called as the realm is
                header = re.sub(_REALM.format(re.escape(realm)), r"\g<1>" + led.replace("\\", r"\\"), header)
        return header

    def _known(self, realm: str) -> str:
        """Remember an endpoint; returns what stands behind its host, or nothing where it is not led through."""
        try:
            url = urlsplit(urljoin(self._upstream.url, realm))
            host, _ = url.hostname or "", url.port
        except ValueError:
            return ""
        if url.scheme != "https" or "@" in url.netloc or not is_of_one_family(host, self._upstream.host.lower()):
            return ""
        path, origin = url.path or "/", f"https://{url.netloc}"
        is_full = len(self._origins) >= _MOST_ENDPOINTS and path not in self._origins
        if is_full or self._origins.setdefault(path, origin) != origin:
            return ""
        return urlunsplit(("", "", path, url.query, ""))

    def remember(self, answer: bytes, account: str, presented: Presented) -> None:
        """Learn from an endpoint's answer which token was given for what was presented."""
        try:
            document = json.loads(answer)
            tokens = {document.get("token"), document.get("access_token")}
        except (ValueError, RecursionError, AttributeError, TypeError):
            return
        for token in tokens:
            if isinstance(token, str) and token:
                self._obtained[_hash(token.encode())] = account, presented
        while len(self._obtained) > _MOST_TOKENS:
            del self._obtained[next(iter(self._obtained))]

    def presented_for(self, headers: Sequence[bytes]) -> tuple[str, Presented] | None:
        """Return the account and what was presented for the token in a request's ``Authorization``; None: no such."""
        bearer = _BEARER.fullmatch(headers[0]) if self._obtained and len(headers) == 1 else None
        return self._obtained.get(_hash(bearer[1])) if bearer else None


def login_in(form: bytes) -> list[bytes]:
    """Return what the form of an OAuth token request presents, written as ``Authorization`` headers."""
    fields = parse_qs(form.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    if "password" in fields:
        pair = f"{fields.get('username', [''])[0]}:{fields['password'][0]}"
        return [b"Basic " + base64.b64encode(pair.encode("latin-1"))]
    return [b"OAuth "] if "refresh_token" in fields else []


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
