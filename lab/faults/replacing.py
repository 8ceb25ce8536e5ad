"""Small words that faults are written in: what a fault puts in the place of a healthy step.

A replacement is called as ``replacement(healthy, *arguments)``. It may call ``healthy`` with the same arguments, with
others, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.injection import called
from registry.transforms import SWAPPED, Context, transform
from registry.transforms.base import bytes_of, text_of

if TYPE_CHECKING:
    from lab.agent.secret import Credential
    from lab.injection import Where

Replacement = Callable[..., Any]


def always(value: object) -> Replacement:
    """Return ``value``, whatever is asked."""

    def instead(_healthy: Callable[..., Any], *_arguments: object) -> object:
        return value

    return instead


def nothing(_healthy: Callable[..., Any], *_arguments: object) -> None:
    """Do nothing and give None."""


def the_first(_healthy: Callable[..., Any], first: object, *_rest: object) -> object:
    """Return the first argument as it is."""
    return first


def afterwards(edit: Callable[[Any], Any]) -> Replacement:
    """Do the healthy thing, then ``edit`` what it gave."""

    def edited(healthy: Callable[..., Any], *arguments: object) -> object:
        return edit(healthy(*arguments))

    return edited


def beforehand(edit: Callable[[Any], Any]) -> Replacement:
    """Do the healthy thing with an edited first argument."""

    def edited(healthy: Callable[..., Any], first: object, *rest: object) -> object:
        return healthy(edit(first), *rest)

    return edited


def changed_by(name: str) -> Replacement:
    """Present what the transform ``name`` of the catalogue makes of the password; no login where it gives an error."""
    rule = transform(name)

    def present(healthy: Callable[..., Credential | None], *arguments: object) -> Credential | None:
        credential = healthy(*arguments)
        if credential is None:
            return None
        value = rule.apply(Context(bytes_of(credential.password), bytes_of(credential.username)))
        if value is None:
            return None
        username = credential.password if name == SWAPPED else credential.username
        return replace(credential, username=username, password=text_of(value))

    return present


def from_the_second_on(replacement: Replacement) -> Replacement:
    """Be healthy at the first repave of a cluster; be wrong at every later one. The last argument counts repaves."""

    def later(healthy: Callable[..., Any], *arguments: Any) -> object:  # noqa: ANN401 - whatever the injection point is about
        nth = int(arguments[-1])
        return replacement(healthy, *arguments) if nth > 1 else healthy(*arguments)

    return later


def when(condition: Callable[[Where, Any], bool], replacement: Replacement) -> Replacement:
    """Be wrong where ``condition(where, value)`` is met, ``value`` being the healthy one; elsewhere be healthy.

    Where something is done rather than found out, ``value`` is the first argument.
    """

    def gated(healthy: Callable[..., Any], *arguments: Any, where: Where) -> object:  # noqa: ANN401 - whatever it is about
        value = healthy(*arguments) if not where.effect else next(iter(arguments), None)
        if condition(where, value):
            return called(replacement, healthy, *arguments, where=where)
        return healthy(*arguments) if where.effect else value

    return gated


def user_name(edit: Callable[[str], str]) -> Replacement:
    """Present another user name with the right password."""
    return afterwards(lambda found: found and replace(found, username=edit(found.username)))
