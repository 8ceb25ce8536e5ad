"""How far a login may go: to the registry that it was given for, and from there to no other host.

Pullers send a login wherever a registry's challenge tells them to, on any host and over plain HTTP too. So the
registry is asked first, without a login, what it wants.
"""

from __future__ import annotations

import re
import ssl
from contextlib import closing
from http.client import HTTP_PORT, HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab.agent.puller import PullFailed
from lab.injection import FOLLOW_REDIRECT, REQUEST_HEADERS, Behaviour

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from pathlib import Path

    from lab.agent.secret import Credential

ANSWER = 5.0  # seconds; whoever is slower is the puller's to complain about
#: By the hash of their names, so that of some 140 authorities only the one in question is read.
PUBLIC_AUTHORITIES = "/etc/ssl/certs"
_BEARER = re.compile(r'^\s*Bearer\b.*?\brealm="([^"]*)"', re.IGNORECASE)
_HTTPS = 443
_HOPS = 5  # redirects that are followed at most, where any are


def login_for(
    image: str, credential: Credential | None, authority: Path | None, behaviour: Behaviour | None = None
) -> Credential | None:
    """Return the login that may be sent for ``image``: none when it was given for another registry.

    Raises:
        PullFailed: the registry wants it sent to a token realm of another host, or over plain HTTP.

    """
    registry = image.partition("/")[0]
    if credential is None or not _is_for(credential, registry):
        return None
    realm = urlsplit(_realm(behaviour or Behaviour(), registry, credential, authority))
    if realm.netloc and (realm.scheme, realm.hostname) != ("https", urlsplit(f"//{registry}").hostname):
        raise PullFailed(
            f"registry {registry} asks for a token from {realm.scheme}://{realm.netloc}, which is not the registry "
            "itself over TLS; the credentials are not sent there: authentication is not supported"
        )
    return credential


def _is_for(credential: Credential, registry: str) -> bool:
    named = credential.registry.partition("/")[0]
    return not named or _place(named) == _place(registry)


def _place(registry: str) -> tuple[str | None, int]:
    parts = urlsplit(f"//{registry}")
    return parts.hostname, parts.port or _HTTPS


def _realm(behaviour: Behaviour, registry: str, credential: Credential, authority: Path | None) -> str:
    """Ask the registry, without a login, where it gives tokens: an empty text where it gives none or is silent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=PUBLIC_AUTHORITIES)
    if authority is not None and authority.exists():
        context.load_verify_locations(authority)
    url: str | None = f"https://{registry}/v2/"
    headers = {"User-Agent": "stylus-agent"}
    headers = behaviour.at(REQUEST_HEADERS, lambda _url, plain, _login: plain, url, headers, credential)
    found, hops = None, 0
    try:
        while url and hops < _HOPS:
            answer, hops = _ask(url, headers, context), hops + 1
            found = _BEARER.match(answer.getheader("WWW-Authenticate", ""))
            location = answer.getheader("Location")
            url = location and behaviour.at(FOLLOW_REDIRECT, lambda _url, _location: None, url, location)
    except (OSError, HTTPException):  # the puller will say it in its own words
        return ""
    return found[1] if found else ""


def _ask(url: str, headers: dict[str, str], context: ssl.SSLContext) -> HTTPResponse:
    """Ask one question. Raises OSError or HTTPException."""
    parts, connection = urlsplit(url), None
    if parts.scheme == "http":
        connection = HTTPConnection(parts.hostname or "", parts.port or HTTP_PORT, timeout=ANSWER)
    else:
        connection = HTTPSConnection(parts.hostname or "", parts.port or _HTTPS, timeout=ANSWER, context=context)
    with closing(connection):
        connection.request("GET", parts.path or "/", headers=headers)
        return connection.getresponse()
