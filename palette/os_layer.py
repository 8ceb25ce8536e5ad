"""The values of the OS layer (the Bring Your Own OS pack): the provider image and the credentials to pull it.

The writer puts every text between double quotes with everything but printable ASCII escaped, because YAML readers
disagree about bare words (``1e3``, ``08``, ``y``) and the documented special characters ``!``, ``#`` and ``*`` mean
something in YAML (docs/palette.md §4.5, docs/vectors.md §6). Cases about YAML itself choose another form.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from textwrap import indent
from typing import TYPE_CHECKING

from protected import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACK = "edge-native-byoi"
"""The name of the Bring Your Own OS pack."""

IMAGE_MACRO = "{{.spectro.pack.edge-native-byoi.options.system.uri}}"
"""How ``pack.content.images`` names the provider image (the guide, step 5)."""


class KeySpelling(Enum):
    """Two vendor pages spell two keys differently (docs/palette.md §1.10, X2); the values are (user, certificate)."""

    GUIDE = ("user", "certificates")
    PACK_PAGE = ("username", "certificate")


class Form(Enum):
    """How a text is written in YAML."""

    DOUBLE = "double quoted, everything but printable ASCII escaped"
    DOUBLE_AS_TYPED = "double quoted, printable characters of any script as they are"
    SINGLE = "single quoted"
    PLAIN = "bare, whatever it then means"
    LITERAL = "|"
    LITERAL_STRIP = "|-"
    LITERAL_KEEP = "|+"
    FOLDED = ">"
    FOLDED_STRIP = ">-"
    FOLDED_KEEP = ">+"


class UnwritableError(ValueError):
    """A text cannot be written in the chosen form without becoming another one before it is even read."""


@dataclass(frozen=True)
class ProviderCredentials:
    """What the profile says about the private registry.

    ``registry`` is a domain or address, with a port or a Harbor project where there is one. ``certificates`` is PEM.
    ``encoded_password`` is written only when given (docs/palette.md §2.1). Any text may be a macro reference.
    """

    registry: str
    username: str
    password: str | Secret
    certificates: str | None = None
    encoded_password: bool | None = None


@dataclass(frozen=True)
class OsLayer:
    """The OS layer of a cluster profile: image and credentials, and how they are written."""

    image: str
    credentials: ProviderCredentials | None = None
    spelling: KeySpelling = KeySpelling.GUIDE
    password_form: Form = Form.DOUBLE
    content_images: tuple[str, ...] = (IMAGE_MACRO,)

    @property
    def is_verbatim(self) -> bool:
        """Whether a case wrote the text itself."""
        return False

    def values(self) -> str:
        """Return the YAML text, ending in a line break.

        Raises UnwritableError when the password cannot be written in the chosen form.
        """
        return "\n".join(block for block in self._blocks() if block)

    def _blocks(self) -> Iterator[str]:
        images = "".join(f"      - image: {double_quoted(image)}\n" for image in self.content_images)
        yield f"pack:\n  content:\n    images:\n{images}" if images else ""
        if self.credentials is not None:
            yield credentials_block(self.credentials, self.spelling, self.password_form)
        yield f"options:\n  system.uri: {double_quoted(self.image)}\n"


def credentials_block(
    credentials: ProviderCredentials, spelling: KeySpelling = KeySpelling.GUIDE, password_form: Form = Form.DOUBLE
) -> str:
    """Return ``providerCredentials`` as YAML at the root level."""
    user, certificate = spelling.value
    password = credentials.password.reveal() if isinstance(credentials.password, Secret) else credentials.password
    lines = [
        "providerCredentials:",
        f"  registry: {double_quoted(credentials.registry)}",
        f"  {user}: {double_quoted(credentials.username)}",
        f"  password: {scalar(password, password_form, depth=4)}",
    ]
    if credentials.encoded_password is not None:
        lines.append(f"  encodedPassword: {str(credentials.encoded_password).lower()}")
    if credentials.certificates is not None:
        lines.append(f"  {certificate}: {_pem(credentials.certificates)}")
    return "\n".join(lines) + "\n"


def macro(name: str) -> str:
    """Return the reference to a macro, to be used as any text of the credentials."""
    return "{{.spectro.macro." + name + "}}"


def inside_double_quotes(text: str) -> str:
    """Return the value a macro must have to mean ``text`` where its reference stands between double quotes.

    The macro is replaced before the YAML is read, so its value is YAML text (docs/palette.md §4.4).
    """
    return double_quoted(text)[1:-1]


_ESCAPE_WIDTHS = (("x", 2), ("u", 4), ("U", 8))
_HALF_CHARACTERS = range(0xD800, 0xE000)
_PRINTABLE_ASCII = range(0x20, 0x7F)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def double_quoted(text: str, *, as_typed: bool = False) -> str:
    """Write a text between double quotes on one line.

    Raises UnwritableError for lone surrogates, which no encoding can carry.
    """
    return '"' + "".join(_escaped(character, as_typed=as_typed) for character in text) + '"'


def _escaped(character: str, *, as_typed: bool) -> str:
    code = ord(character)
    if code in _HALF_CHARACTERS:
        raise UnwritableError(f"U+{code:04X} is half a character; a text for YAML is made of whole ones")
    if character in _ESCAPES:
        return _ESCAPES[character]
    if code in _PRINTABLE_ASCII or (as_typed and character.isprintable()):
        return character
    letter, width = next(step for step in _ESCAPE_WIDTHS if code < 16 ** step[1])
    return f"\\{letter}{code:0{width}x}"


def scalar(text: str, form: Form, *, depth: int) -> str:
    """Write a text in a form, as it stands after ``key: ``; block forms are indented by ``depth``.

    A plain text is written as it is: what a reader makes of it is the point of choosing it.
    """
    return _WRITERS.get(form, _block)(text, form, depth)


def _plain(text: str, _form: Form, _depth: int) -> str:
    if "\n" in text or "\r" in text:
        raise UnwritableError("a bare text cannot hold line breaks")
    return text


def _single(text: str, _form: Form, _depth: int) -> str:
    _refuse_unprintable(text, "single quotes")
    return "'" + text.replace("'", "''") + "'"


def _block(text: str, form: Form, depth: int) -> str:
    _refuse_unprintable(text.replace("\n", ""), "a block")
    # An indicator tells the reader where the text begins when its first line begins with blanks itself.
    step = "2" if text.lstrip("\n")[:1] == " " else ""
    return form.value[0] + step + form.value[1:] + "\n" + indent(text, " " * depth, lambda _line: True)


def _refuse_unprintable(text: str, place: str) -> None:
    for character in text:
        if not (character.isprintable() or character == "\t"):
            raise UnwritableError(f"U+{ord(character):04X} cannot stand in {place}; write it double quoted")


_WRITERS: dict[Form, Callable[[str, Form, int], str]] = {
    Form.DOUBLE: lambda text, _form, _depth: double_quoted(text),
    Form.DOUBLE_AS_TYPED: lambda text, _form, _depth: double_quoted(text, as_typed=True),
    Form.SINGLE: _single,
    Form.PLAIN: _plain,
}


def _pem(certificates: str) -> str:
    """Write PEM as people do, in a literal block, unless that could change it (CRLF, blanks, no last line break)."""
    lines = certificates.split("\n")
    plain = lines.pop() == "" and all(line and line == line.strip() and line.isprintable() for line in lines)
    if lines and plain:
        return "|\n" + indent("\n".join(lines), " " * 4)
    return double_quoted(certificates)
