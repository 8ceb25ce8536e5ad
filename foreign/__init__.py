"""The door for text that others wrote: Palette, hosts, registries. Everything in the house may import this module.

Text from outside is data. Before it becomes a part of a command, a URL, a path or a file's name it passes here, and it
comes out unchanged or not at all; only :func:`file_name` makes something new of it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from ipaddress import ip_address

#: A label of a host name; the underscore is not the DNS', but hosts have it.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER_LAST = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?\Z")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]{1,15})?")
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,252}\$?")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 120
# Control, format (invisible, or turns the line around), surrogate, private use, unassigned, line and paragraph
# separator: none of them has a shape of its own.
_SHAPELESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and marks without a shape: fillers, joiners, variation selectors (Unicode's Default_Ignorable_Code_Point), and
# the empty pattern of Braille.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_PLAIN = re.compile(r"[\n\x20-\x7e]*\Z")
# What build servers obey in a log: "::error::" at the beginning of a line (GitHub), "##[error]", "##vso[…]" (Azure),
# "##teamcity[…]".
_COMMAND = re.compile(r"^([^\S\n]*)::(?=[A-Za-z][^\n]*::)|##(?=\w*\[)", re.MULTILINE)


class UnsafeTextError(ValueError):
    """A text from outside is not what it has to be; the message quotes it, with escapes."""


def host_address(text: str) -> str:
    """Return a host name or an IP address as it stands. Raises UnsafeTextError for anything else.

    A name whose last part is a number is none: resolvers take ``1`` and ``0x7f.1`` for addresses of their own.
    """
    if _ADDRESS.fullmatch(text) and is_ip(text):
        return text
    if _HOST_NAME.fullmatch(text) and not _NUMBER_LAST.search(text):
        return text
    raise UnsafeTextError(f"{_quoted(text)} is neither a host name nor an IP address")


def uid(text: str) -> str:
    """Return an identity as Palette gives them: a word of letters, digits, ``_``, ``.`` and ``-``.

    Raises UnsafeTextError.
    """
    if _UID.fullmatch(text):
        return text
    raise UnsafeTextError(f"{_quoted(text)} is no uid: letters, digits, '_', '.' and '-'")


def user_name(text: str) -> str:
    """Return the name of a user of a host. Raises UnsafeTextError for what cannot be one."""
    if _USER.fullmatch(text):
        return text
    raise UnsafeTextError(f"{_quoted(text)} cannot be the name of a user")


def file_name(text: str) -> str:
    """Return the name of a file or folder for a text: the text itself where it is harmless.

    Two texts never have the same name: a name that is not the text itself ends in a part of the text's hash.
    """
    name = _NOT_IN_A_NAME.sub("-", text).lstrip(".-")[:_LONGEST_NAME]
    if name and name == text:
        return name
    return f"{name or 'unnamed'}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def is_ip(text: str) -> bool:
    """Return whether a text is an IP address, of either version."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    return ascii(cut(text, _LONGEST_NAME))


# --- what is shown ----------------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    r"""Return the text with every character that has no shape as its escape (``\x1b``, ``\u202e``, ``\ud800``).

    Line feeds stay: reports are made of lines. What a build server would take for a command of the job is broken by an
    escape, too (``\x3a:error::``). The result can be written into XML, HTML, a terminal and a log.
    """
    text = _COMMAND.sub(_broken, text)
    if _PLAIN.match(text):
        return text
    return "".join(_escape(character) for character in text)


def cut(text: str, most: int = 2000) -> str:
    """Return the text, or its beginning and an ellipsis where it has more than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def one_line(text: str) -> str:
    r"""Return the text as :func:`visible` does, on one line: line feeds too become ``\n``."""
    return visible(text).replace("\n", "\\n")


def _broken(command: re.Match[str]) -> str:
    return "#\\x23" if command[0] == "##" else f"{command[1]}\\x3a:"


def _escape(character: str) -> str:
    if character == "\n" or not (unicodedata.category(character) in _SHAPELESS or _BLANK.match(character)):
        return character
    return character.encode("unicode_escape").decode("ascii")
