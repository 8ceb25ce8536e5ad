"""What falls off at the edges: blanks, line ends, quotes around the value, and everything after a mark or a length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.transforms.base import Transform, on_bytes, on_text

if TYPE_CHECKING:
    from collections.abc import Callable

# Go's unicode.IsSpace; Python's str.strip() also takes U+001C..U+001F, Go's does not.
BLANKS = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_ASCII_BLANKS = b" \t\n\v\f\r"
_BLANK_RUN = re.compile("[ \t\n]+")
_BOM = b"\xef\xbb\xbf"
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PAIR = 2


def _one_line_end_lost(value: bytes) -> bytes:
    return value.removesuffix(b"\n").removesuffix(b"\r")


def _first_line(value: bytes) -> bytes:
    line, newline, _ = value.partition(b"\n")
    return line.removesuffix(b"\r") if newline else value


def _to_crlf(value: bytes) -> bytes:
    return value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _collapsed(text: str) -> str:
    return _BLANK_RUN.sub(" ", text.strip(" \t\n"))


def _folded(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", " ")


def _unquoted(value: bytes) -> bytes:
    paired = len(value) >= _PAIR and value[:1] == value[-1:] and value[:1] in (b"'", b'"')
    return value[1:-1] if paired else value


def _edge(name: str, said: str, title: str, rule: Callable[[bytes], bytes], source: str, *changes: str) -> Transform:
    return Transform(name, said, title, on_bytes(rule), source, changes)


def _cut(name: str, mark: bytes, where: str, source: str, group: str) -> Transform:
    def before(value: bytes) -> bytes:
        return value.split(mark, 1)[0]

    return Transform(
        f"cut-at-{name}", f"cut at {where}", f"nothing from the first {where} on", on_bytes(before), source, (group,)
    )


def _first(length: int, source: str) -> Transform:
    def shortened(value: bytes) -> bytes:
        return value[:length]

    title = f"only the first {length} bytes"
    return Transform(
        f"first-{length}", f"cut to {length} bytes", title, on_bytes(shortened), source, (f"over-{length}",)
    )


EDGES = (
    Transform(
        "trimmed",
        "trimmed",
        "blanks lost at both ends",
        on_text(lambda text: text.strip(BLANKS)),
        "strings.TrimSpace on anything read from a field",
        ("blank",),
    ),
    Transform(
        "trimmed-left",
        "trimmed on the left",
        "blanks lost at the start",
        on_text(lambda text: text.lstrip(BLANKS)),
        "htpasswd lines: docs/vectors.md",
        ("blank",),
    ),
    Transform(
        "trimmed-right",
        "trimmed on the right",
        "blanks lost at the end",
        on_text(lambda text: text.rstrip(BLANKS)),
        "text editors; strings.TrimRight",
        ("blank",),
    ),
    _edge(
        "line-end-lost",
        "line end lost",
        "one line end lost at the end",
        _one_line_end_lost,
        "docker login --password-stdin (cli/command/registry/login.go)",
        "newline",
        "carriage-return",
    ),
    _edge(
        "newlines-lost",
        "line end lost",
        "every newline lost at the end",
        lambda value: value.rstrip(b"\n"),
        "the shell's $(cat file): POSIX shell §2.6.3",
        "newline",
    ),
    _edge(
        "line-ends-lost",
        "line end lost",
        "every CR and LF lost at the end",
        lambda value: value.rstrip(b"\r\n"),
        "chomp; docker-speedtest-tracker#23",
        "newline",
        "carriage-return",
    ),
    _edge(
        "newline-added",
        "newline added",
        "a newline added at the end",
        lambda value: value + b"\n",
        "echo without -n; YAML block scalar |: docs#6294, tart#289",
        "any",
    ),
    _edge(
        "crlf-added",
        "line end added",
        "CR and LF added at the end",
        lambda value: value + b"\r\n",
        "files saved on Windows: tart#486",
        "any",
    ),
    _edge(
        "first-line",
        "cut at the line end",
        "only the first line",
        _first_line,
        "read, fgets and one-line form fields",
        "newline",
    ),
    _edge(
        "cr-lost",
        "CR lost",
        "every CR lost",
        lambda value: value.replace(b"\r", b""),
        "tr -d '\\r'; dos2unix",
        "carriage-return",
    ),
    _edge(
        "crlf-to-lf",
        "CR lost",
        "CRLF turned into LF",
        lambda value: value.replace(b"\r\n", b"\n"),
        "text mode; XML line-end handling; git autocrlf",
        "carriage-return",
    ),
    _edge(
        "lf-to-crlf",
        "LF turned into CRLF",
        "each line end turned into CRLF",
        _to_crlf,
        "HTML form submission; git autocrlf",
        "newline",
    ),
    Transform(
        "lines-folded",
        "line ends turned into blanks",
        "each line end turned into a blank",
        on_text(_folded),
        "YAML's folded scalar >; xargs",
        ("newline",),
    ),
    _edge(
        "blanks-removed",
        "blanks removed",
        "every blank removed",
        lambda value: value.translate(None, _ASCII_BLANKS),
        "tr -d '[:space:]': cozystack#2915",
        "blank",
    ),
    Transform(
        "blanks-collapsed",
        "blanks collapsed",
        "runs of blanks become one, none at the ends",
        on_text(_collapsed),
        "echo $PASSWORD without quotes",
        ("blank",),
    ),
    _edge(
        "tabs-to-blanks",
        "tabs turned into blanks",
        "each tab turned into a blank",
        lambda value: value.replace(b"\t", b" "),
        "terminals and editors when a value is pasted",
        "tab",
    ),
    Transform(
        "controls-removed",
        "control characters removed",
        "control characters removed, tab and line ends kept",
        on_text(lambda text: _CONTROLS.sub("", text)),
        "XML 1.0 writers: pytest#404, #267",
        ("control",),
    ),
    _edge(
        "nul-trimmed",
        "NUL trimmed",
        "NUL lost at both ends",
        lambda value: value.strip(b"\0"),
        "containerd's ParseAuth and docker/cli's config file",
        "nul",
    ),
    _edge(
        "bom-added",
        "byte order mark added",
        "a byte order mark put before it",
        lambda value: _BOM + value,
        "files saved on Windows",
        "any",
    ),
    _edge(
        "bom-lost",
        "byte order mark lost",
        "the byte order mark before it lost",
        lambda value: value.removeprefix(_BOM),
        "readers of utf-8-sig",
        "bom",
    ),
    _edge(
        "quotes-lost",
        "quotes lost",
        "one pair of quotes around it lost",
        _unquoted,
        "dotenv files; docker run --env-file",
        "quote",
    ),
    _edge(
        "quotes-added",
        "quotes added",
        "put in double quotes",
        lambda value: b'"' + value + b'"',
        "json.Marshal into a plain field; compose's list form of environment",
        "any",
    ),
    _edge(
        "single-quotes-added",
        "quotes added",
        "put in single quotes",
        lambda value: b"'" + value + b"'",
        "%r and quoting done twice",
        "any",
    ),
    _first(8, "crypt(3) with DES; VNC passwords"),
    _first(32, "MySQL's replication source password"),
    _first(72, "bcrypt: django#9706, gotrue#449; docs/vectors.md"),
    _cut("nul", b"\0", "NUL", "C strings", "nul"),
    _cut("colon", b":", "colon", "split(':') in testcontainers' auth.py; for-mac#2008", "colon"),
    _cut("hash", b"#", "hash sign", "comments in dotenv files; URL fragments", "hash"),
    _cut("space-hash", b" #", "blank and hash sign", "YAML comments: docs/vectors.md §6", "hash"),
    _cut("dollar", b"$", "dollar sign", "Makefiles and templates that stop at it: for-mac#712", "dollar"),
    _cut("space", b" ", "blank", "awk '{print $2}'", "blank"),
    _cut("single-quote", b"'", "single quote", "a value pasted into single quotes: komodo#1090", "quote"),
    _cut("double-quote", b'"', "double quote", "a value pasted into double quotes: portainer#8440", "quote"),
    _cut("equals", b"=", "equals sign", "key=value splitters: noip-renew#5", "equals"),
    _cut("ampersand", b"&", "ampersand", "query strings: moby#12332", "ampersand"),
    _cut("semicolon", b";", "semicolon", "INI comments; connection strings", "semicolon"),
    _cut("comma", b",", "comma", "helm --set; lists in flags", "comma"),
    _cut("at-sign", b"@", "at sign", "URL user-info: docker-registry-manager#87", "at-sign"),
    _cut("slash", b"/", "slash", "URL user-info: docker-registry-manager#87", "slash"),
    _cut("question-mark", b"?", "question mark", "URL user-info: docker-registry-manager#87", "question-mark"),
    _cut("percent", b"%", "percent sign", "crontab lines: crontab(5)", "percent"),
)
