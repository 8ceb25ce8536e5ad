"""Seeded faults: deliberately wrong labs, to prove that the suite can fail.

A fault is found by name in the catalogue, or loaded from a file outside the project (``FILE.py:NAME``). It travels to
the Edge hosts as a small record, the *specification*: a name, and for a file from outside its source text. This module
runs on the hosts too and needs the standard library only.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.injection import Behaviour, Fault, Point, Touch, Where

if TYPE_CHECKING:
    from types import CodeType

Specification = Mapping[str, Any]
#: Bytes of a fault file.
LARGEST_SOURCE = 16 << 20


class UnknownFault(ValueError):  # noqa: N818 - it says what is wrong
    """There is no such fault; the message lists near names."""


def fault(
    name: str, *, at: Point | Mapping[Point, Callable[..., Any]], replace: Callable[..., Any] | None = None,
    catches: Iterable[str], because: str, change: str = "", road: str = "",
) -> Fault:  # fmt: skip
    """Make a fault that reads as one line: ``fault("…", at=POINT, replace=function, catches=[…], because="…")``.

    ``at`` is an injection point with its ``replace(healthy, *args)``, or a mapping of several to their replacements.
    ``catches`` names the requirements that must notice. ``change`` and ``road`` are for the faults that are made of the
    catalogue of transforms: which one, and on which of the ways that a password takes.
    """
    if isinstance(at, Point):
        if replace is None:
            raise ValueError(f"fault {name!r}: injection point {at.name!r} has no replacement; give replace=function")
        at = {at: replace}
    return Fault(name, dict(at), tuple(catches), because, change, road)


def catalogue() -> dict[str, Fault]:
    """Return all faults of the project by name."""
    return {known.name: known for faults in families().values() for known in faults}


#: The files of the catalogue; those come first of which a host needs a fault most often.
FAMILIES = ("credentials", "classes", "misplaced", "transport", "lifecycle", "api", "answers", "host", "leftovers")


def families() -> dict[str, tuple[Fault, ...]]:
    """All faults of the project by the file they stand in."""
    return {name: _family(name) for name in FAMILIES}


def _family(name: str) -> tuple[Fault, ...]:
    found: tuple[Fault, ...] = importlib.import_module(f"lab.faults.{name}").FAULTS
    return found


def _catalogue_with(name: str) -> dict[str, Fault]:
    """Return the faults of the catalogue's files as far as that of ``name``: a host imports no more of them."""
    known: dict[str, Fault] = {}
    for family in FAMILIES:
        known |= {each.name: each for each in _family(family)}
        if name in known:
            break
    return known


def specify(wanted: str) -> Specification:
    """Turn ``NAME`` or ``FILE.py:NAME`` into a specification, and check that it can be loaded.

    Raises:
        UnknownFault: no such name or file; nothing has been started yet.

    """
    path, separator, name = wanted.rpartition(":")
    specification: Specification = {"name": wanted}
    if wanted.endswith(".py"):
        raise UnknownFault(f"--lab-fault {wanted}: a file may have several faults; name one, as in {wanted}:NAME")
    if separator:
        specification = {"name": name, **_source_of(path)}
    load(specification)
    return specification


def specify_all(wanted: str) -> list[Specification]:
    """Return the specifications of ``NAME``, of ``FILE.py:NAME``, or of every fault of ``FILE.py``.

    Raises:
        UnknownFault: as :func:`specify`; also for a file without a fault.

    """
    if not wanted.endswith(".py"):
        return [specify(wanted)]
    names = dict.fromkeys(known.name for known in _from_source(_source_of(wanted)).values())
    if not names:
        raise UnknownFault(f"--lab-fault {wanted}: the file has no fault; write NAME = fault(...) in it")
    return [specify(f"{wanted}:{name}") for name in names]


def _source_of(path: str) -> Specification:
    from bounded import file_content  # noqa: PLC0415 - hosts have not got it, and read no files of faults

    try:
        return {"source": file_content(Path(path), LARGEST_SOURCE).decode(), "path": path}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UnknownFault(f"--lab-fault {path}: cannot read {path}: {why}") from error


def load(specification: Specification) -> Fault:
    """Return the fault of a specification. Raises UnknownFault."""
    name = str(specification["name"])
    known = _from_source(specification) if "source" in specification else _catalogue_with(name)
    if name not in known:
        raise UnknownFault(f"--lab-fault {name}: there is no such fault; {_hint(name, known, specification)}")
    return known[name]


def _hint(name: str, known: Iterable[str], specification: Specification) -> str:
    """Return what would be right: names like it, else those of the file, else where the catalogue stands."""
    names = sorted(known)
    if near := difflib.get_close_matches(name, names, n=3):
        return f"did you mean {' or '.join(near)}?"
    if "source" in specification:
        return f"the file has {', '.join(names) or 'none'}"
    return f"the {len(names)} that there are stand in lab/faults/ (docs/faults.md), such as workers-first"


def _from_source(specification: Specification) -> dict[str, Fault]:
    """Run a file from outside the project; it was named on the command line by the person who runs the lab."""
    namespace: dict[str, Any] = {"__name__": "lab_fault_from_outside"}
    path = str(specification.get("path", "fault"))
    try:
        exec(_compiled(str(specification["source"]), path), namespace)  # noqa: S102 - see above
    except Exception as error:
        raise UnknownFault(f"--lab-fault {path}: the file cannot be loaded: {error!r}") from error
    found = [value for value in namespace.values() if isinstance(value, Fault)]
    return {**{known.name: known for known in found}, **{k: v for k, v in namespace.items() if isinstance(v, Fault)}}


@functools.lru_cache(maxsize=256)
def _compiled(source: str, path: str) -> CodeType:
    """Compile a file once for all orders that bring it; what it keeps to itself begins anew with each."""
    return compile(source, path, "exec")


def behaviour_of(
    specifications: Iterable[Specification], where: Where | None = None, note: Callable[[Touch], None] | None = None
) -> Behaviour:
    """Return the behaviour of a lab with these faults, the ``watched`` ones not in force; without any it is healthy."""
    loaded = [(load(specification), bool(specification.get("watched"))) for specification in specifications]
    faults, watched = (tuple(fault for fault, only in loaded if only is wanted) for wanted in (False, True))
    return Behaviour(faults, where or Where(), note or (lambda _touch: None), watched)
