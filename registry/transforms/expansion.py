"""Expansion: shells, compose files, Kubernetes and template engines read a secret as a programme."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from registry.transforms.base import Transform, on_text

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMED = re.compile(r"\$(?:\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)")
_GO_EXPAND = re.compile(r"\$(?:\{[^}]*\}|\{|[A-Za-z_][A-Za-z0-9_]*|[*#$@!?0-9-])")
_COMPOSE = re.compile(r"\$(?:(\$)|\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*|.|\Z)", re.DOTALL)
_SHELL = re.compile(
    r"""\\([$`"\\])                                   # a backslash quotes these four
      | \$\([^()]*\) | `[^`]*`                        # what a command prints: nothing
      | \$\{[A-Za-z_][A-Za-z0-9_]*\} | \$[A-Za-z_][A-Za-z0-9_]* | \$[0-9*@]   # unset""",
    re.VERBOSE,
)
_KUBERNETES = re.compile(r"\$(\$\([^)]*\))")
_BATCH = re.compile(r"%[A-Za-z_][A-Za-z0-9_]*%")
_PRINTF = re.compile(r"%(?:([%sd])|.|\Z)", re.DOTALL)
_PRINTF_GIVES = {"%": "%", "s": "", "d": "0"}
_GO_BLANKS = " \t\r\n"
_GO_STRING = re.compile(r'"([^"\\\n]*)"|`([^`]*)`|(true|false)')
_GO_INTEGER = re.compile(r"-?(?:0[xX][0-9A-Fa-f]{1,15}|0[0-7]{0,20}|[1-9][0-9]{0,17})")
_GO_FIELD = re.compile(r"(?:\.[^\W\d]\w*)+")
_JINJA = re.compile(r"\{#.*?#\}|\{\{-?\s*(.*?)\s*-?\}\}|(\{%|\{\{|\{#)", re.DOTALL)
_JINJA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?", re.ASCII)
_JINJA_STRING = re.compile(r"""'([^'\\]*)'|"([^"\\]*)"|([1-9][0-9]*|0)""")


def _go_expand(text: str) -> str:
    return _GO_EXPAND.sub("", text)


def _compose(text: str) -> str | None:
    wrong = [found for found in _COMPOSE.finditer(text) if not (found[1] or _NAMED.fullmatch(found[0]))]
    return None if wrong else _COMPOSE.sub(lambda found: found[1] or "", text)


def _shell(text: str) -> str:
    return _SHELL.sub(lambda found: found[1] or "", text)


def _words(text: str) -> str | None:
    try:
        return " ".join(shlex.split(text))
    except ValueError:
        return None


def _printf(text: str) -> str | None:
    if any(found[1] is None for found in _PRINTF.finditer(text)):
        return None
    return _PRINTF.sub(lambda found: _PRINTF_GIVES[found[1]], text)


def _go_value(action: str, missing: str) -> str | None:
    """Return what an action prints; None for what the template engine refuses, or what is more than a literal."""
    if action.startswith("/*") and action.endswith("*/"):
        return ""
    action = action.strip(_GO_BLANKS)
    literal = _GO_STRING.fullmatch(action)
    if literal:
        return next(group for group in literal.groups() if group is not None)
    if _GO_INTEGER.fullmatch(action):
        octal = action.lstrip("-").startswith("0") and action.lstrip("-0").isdigit()
        return str(int(action, 8 if octal else 0))
    return missing if _GO_FIELD.fullmatch(action) else None


def _go_template(missing: str) -> Callable[[str], str | None]:
    def render(text: str) -> str | None:
        head, *actions = text.split("{{")
        out = [head]
        for action in actions:
            body, closing, rest = action.partition("}}")
            if body.startswith("- "):
                out[-1] = out[-1].rstrip(_GO_BLANKS)
            if body.endswith(" -"):
                rest = rest.lstrip(_GO_BLANKS)
            value = _go_value(body.removeprefix("- ").removesuffix(" -"), missing)
            if not closing or value is None:
                return None
            out += [value, rest]
        return "".join(out) if actions else text

    return render


def _jinja_value(expression: str) -> str | None:
    literal = _JINJA_STRING.fullmatch(expression)
    if literal:
        return next(group for group in literal.groups() if group is not None)
    return "" if _JINJA_NAME.fullmatch(expression) else None


def _jinja(text: str) -> str | None:
    out: list[str] = []
    end = 0
    for found in _JINJA.finditer(text):
        value = "" if found[0].startswith("{#") and not found[2] else _jinja_value(found[1] or "")
        if found[2] or value is None:
            return None
        out += [text[end : found.start()], value]
        end = found.end()
    rest = text[end:]
    # Jinja drops one newline at the very end of a template.
    return "".join((*out, rest.removesuffix("\n") if rest else ""))


def _expansion(
    name: str, said: str, title: str, rule: Callable[[str], str | None], source: str, *changes: str
) -> Transform:
    return Transform(name, said, title, on_text(rule), source, changes)


EXPANSION = (
    _expansion(
        "shell-expanded",
        "shell-expanded",
        "expanded as inside a shell's double quotes, where nothing is set",
        _shell,
        "a value pasted into a script: dagster#252, komodo#1377",
        "dollar",
        "backquote",
        "backslash",
    ),
    _expansion(
        "shell-words",
        "read as shell words",
        "quotes and backslashes of a shell processed, words joined by one blank",
        _words,
        "eval, xargs and shlex.split: komodo PR 1160",
        "quote",
        "backslash",
        "blank",
    ),
    _expansion(
        "envsubst",
        "variables expanded",
        "$NAME and ${NAME} replaced by nothing",
        lambda text: _NAMED.sub("", text),
        "envsubst(1): distribution-library-image#87",
        "dollar",
    ),
    _expansion(
        "go-expand",
        "variables expanded",
        "expanded by Go's os.Expand, where nothing is set",
        _go_expand,
        "os.ExpandEnv over a configuration file: stacker#48",
        "dollar",
    ),
    _expansion(
        "compose-interpolated",
        "variables expanded",
        "interpolated as a compose file: $$ becomes $, unset variables nothing, an error otherwise",
        _compose,
        "docker compose: for-mac#712",
        "dollar",
    ),
    _expansion(
        "dollars-collapsed",
        "$$ collapsed",
        "$$ becomes $",
        lambda text: text.replace("$$", "$"),
        "make; compose escapes undone once too often",
        "dollar",
    ),
    _expansion(
        "dollars-doubled",
        "$ doubled",
        "$ becomes $$",
        lambda text: text.replace("$", "$$"),
        "escaped for compose and not read by compose: harbor#9553",
        "dollar",
    ),
    _expansion(
        "kubernetes-expanded",
        "$$ collapsed",
        "$$(NAME) becomes $(NAME)",
        lambda text: _KUBERNETES.sub(r"\1", text),
        "a container's env, command and args in Kubernetes",
        "dollar",
    ),
    _expansion(
        "batch-expanded",
        "variables expanded",
        "%NAME% replaced by nothing",
        lambda text: _BATCH.sub("", text),
        "Windows batch files; ExpandEnvironmentStrings",
        "percent",
    ),
    _expansion(
        "percents-collapsed",
        "%% collapsed",
        "%% becomes %",
        lambda text: text.replace("%%", "%"),
        "systemd units; Python's configparser",
        "percent",
    ),
    _expansion(
        "percents-doubled",
        "% doubled",
        "% becomes %%",
        lambda text: text.replace("%", "%%"),
        "escaped for a systemd unit and read by something else",
        "percent",
    ),
    _expansion(
        "printf-formatted",
        "printf-formatted",
        "used as a format of printf without arguments",
        _printf,
        'printf "$PASSWORD"; class P-13',
        "percent",
    ),
    _expansion(
        "go-template-rendered",
        "template-rendered",
        "rendered by Go's text/template; what is missing becomes <no value>",
        _go_template("<no value>"),
        "Go templates over profile values: class P-15",
        "template",
    ),
    _expansion(
        "helm-rendered",
        "template-rendered",
        "rendered by Helm; what is missing becomes nothing",
        _go_template(""),
        "helm's engine removes <no value>: class P-15",
        "template",
    ),
    _expansion(
        "jinja-rendered",
        "template-rendered",
        "rendered by Jinja; what is undefined becomes nothing",
        _jinja,
        "Ansible and cloud-init's ## template: jinja: class P-15",
        "template",
        "newline",
    ),
)
