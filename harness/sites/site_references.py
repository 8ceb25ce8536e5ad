"""What a site file says at which line, what is wrong with it, and what it refers to instead of holding it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bounded import file_content
from foreign.yaml_text import Written
from protected import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
P = ParamSpec("P")

#: What may be quoted of a name in a file: neither a secret that stands in the wrong place, nor the content of a file.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,60}")
_PATH = re.compile(r"(?=.{1,120}\Z)(?:[\w. ~-]{0,40}/)*[\w. -]{1,40}|/.{0,120}")
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


class BadSiteFileError(Exception):
    """A site file is wrong. Each mistake is a line that names file, line, key, what was found, what would be right."""

    def __init__(self, *mistakes: str) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


@dataclass
class SiteText:
    """A site file while it is read: where it is, what it says, and the mistakes so far, by line."""

    path: Path
    written: Written = field(default_factory=lambda: Written({}, {}))
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)

    def wrong(self, place: str, said: str) -> BadSiteFileError:
        """Return the mistake at a place (``edge_hosts[1].ssh``), to be raised."""
        line = self.written.line_of(place)
        return BadSiteFileError(f"{self.path.name}{f':{line}' if line else ''}: {place}{': ' if place else ''}{said}")

    def note(self, place: str, error: BadSiteFileError) -> None:
        """Take down a mistake; nothing else is looked for at that place."""
        line = self.written.line_of(place)
        self.mistakes += [(line, mistake) for mistake in error.mistakes if (line, mistake) not in self.mistakes]
        self.bad.add(place)

    def attempt(self, place: str, read: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Return what is read at a place; a mistake there is taken down, and the result is not used."""
        if any(_around(place, bad) or _around(bad, place) for bad in self.bad):
            return cast("T", None)
        try:
            return read(*given, **named)
        except BadSiteFileError as error:
            self.note(place, error)
            return cast("T", None)

    def finish(self) -> None:
        """Raise BadSiteFileError with every mistake, by line, if there is any."""
        if self.mistakes:
            raise BadSiteFileError(*(mistake for _, mistake in sorted(self.mistakes)))


def _around(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def secret_at(site: SiteText, place: str, reference: Mapping[str, str], *, exact: bool = False) -> Secret:
    """Read a secret without the white space around it.

    ``exact`` takes one line end off a file and nothing else, for a password may begin or end with white space.

    Raises BadSiteFileError, which names the place and never what stands there.
    """
    if "env" in reference:
        name = reference["env"]
        value = os.environ.get(name, "")
        value = value if exact else value.strip()  # a file of variables with CR LF leaves the CR
        if not value:
            shown = name if _VARIABLE.fullmatch(name) else "that is named there, in what may be a secret itself,"
            raise site.wrong(place, f"environment variable {shown} is not set")
        return Secret(value)
    file = file_at(site, f"{place}.file", reference["file"])
    assert file is not None
    try:
        text = file_content(file).decode()
        value = text.removesuffix("\n").removesuffix("\r") if exact else text.strip()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "it is no UTF-8"
        raise site.wrong(f"{place}.file", f"{file} cannot be read as text: {said}") from None
    if not value:
        raise site.wrong(f"{place}.file", f"{file} is empty; write the secret into it")
    return Secret(value)


def file_at(site: SiteText, place: str, name: str | None) -> Path | None:
    """Return the absolute path of a file that is named relative to the site file; None where none is named.

    Raises BadSiteFileError when there is no such file.
    """
    if name is None:
        return None
    try:
        file = site.path.parent / Path(name).expanduser()
        if file.is_file():
            return file.resolve()
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, nobody's home: a name of nothing
        pass
    if not _PATH.fullmatch(name):
        raise site.wrong(place, "what stands there is no path; write the path of a file, not what is in it")
    raise site.wrong(place, f"{name} is not a file; write the path of one that exists")


def text_at(site: SiteText, place: str, name: str | None) -> str | None:
    """Return the text of a file that is named relative to the site file; None where none is named.

    Raises BadSiteFileError when it cannot be read.
    """
    file = file_at(site, place, name)
    try:
        return None if file is None else file_content(file).decode("utf-8", "replace")
    except OSError as error:
        raise site.wrong(place, f"{name} cannot be read: {error.strerror}") from None


def authority_at(site: SiteText, place: str, name: str | None) -> Path | None:
    """Return the path of a PEM file with certificates; None where none is named.

    Raises BadSiteFileError for other forms of a certificate, with the command that makes a PEM file of it.
    """
    file = file_at(site, place, name)
    if file is None:
        return None
    try:
        content = file_content(file)
    except OSError as error:
        raise site.wrong(place, f"{name} cannot be read: {error.strerror}") from None
    if said := _no_authority(content, file.name):
        raise site.wrong(place, f"{name} {said}")
    return file


def certificates_in(file: Path | None) -> str | None:
    """Return the certificates of an authority's file, without what is written between them, in whatever language."""
    if file is None:
        return None
    found = x509.load_pem_x509_certificates(file_content(file))
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in found)


def _no_authority(content: bytes, name: str) -> str:
    """Return what a file is instead of a PEM file with certificates, and what to do; "" for one."""
    kinds = {kind.decode() for kind in _PEM.findall(content)}
    openssl = f"openssl x509 -in {name} -out authority.pem"
    forms = (
        (
            content.startswith((b"\xff\xfe", b"\xfe\xff")),
            f"is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {name} | tr -d '\\r' > authority.pem",
        ),
        (
            content.startswith(b"\xef\xbb\xbf"),
            f"begins with a byte order mark; take it away: tail -c +4 {name} > authority.pem",
        ),
        (any("PRIVATE KEY" in kind for kind in kinds), "has a private key in it; name a file with certificates alone"),
        ("TRUSTED CERTIFICATE" in kinds, f"is a 'trusted' certificate of OpenSSL's; convert it: {openssl}"),
        ("PKCS7" in kinds, f"is PKCS #7; convert it: openssl pkcs7 -print_certs -in {name} -out authority.pem"),
        ("CERTIFICATE REQUEST" in kinds, "is a request for a certificate; name the authority's certificate"),
        (not kinds and _is_der(content), f"is DER; convert it: {openssl} -inform der"),
        (
            not kinds and content.startswith(b"0"),
            f"is PKCS #7 or #12; convert it: openssl pkcs7 -inform der -print_certs -in {name} -out authority.pem",
        ),
        (
            not _has_certificates(content),
            "has no certificate in PEM that can be read; name the authority's certificate",
        ),
    )
    return next((said for is_so, said in forms if is_so), "")


def _is_der(content: bytes) -> bool:
    try:
        return bool(x509.load_der_x509_certificate(content))
    except ValueError:
        return False


def _has_certificates(content: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(content))
    except ValueError:
        return False
