"""The probe set: the smallest set of passwords that detects every transform and tells any two of them apart.

On a real site each password costs a deployment and a repave, so the set is computed once and kept as reviewed data:

    python -m registry.probes            prints the set and what it was proven to do
    python -m registry.probes --write    computes it anew (needs ortools), and writes registry/probes.json
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from registry.hazards import BEYOND, pool
from registry.transforms import TRANSFORMS, Context

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

DATA = Path(__file__).with_name("probes.json")
UNCHANGED = "unchanged"

# What a substitution needs; on a site these are the values of that site.
USERNAME, PREVIOUS, OTHER = "conformance", "previous-password", "other-password"

# A password's row: for "unchanged" and then for each transform, which of the password's results it gives.
Row = tuple[int, ...]
_NAMES = (UNCHANGED, *(known.id for known in TRANSFORMS))


@dataclass(frozen=True, slots=True)
class Probe:
    """One password of the set.

    ``registry_accepts`` is False for the ones that bcrypt does not take as a whole: their account needs the hash of
    the first 72 bytes, and a site that refuses them early is right.
    """

    id: str
    password: str
    registry_accepts: bool
    comment: str


def probes() -> tuple[Probe, ...]:
    """Read the probe set that belongs to this version of the catalogue."""
    return tuple(Probe(**record) for record in json.loads(DATA.read_text(encoding="utf-8"))["probes"])


def row(password: str) -> Row:
    """Return each transform's result of a password a number: equal numbers where the results are equal."""
    context = Context(password, USERNAME, PREVIOUS, OTHER)
    seen: dict[bytes | None, int] = {context.password: 0}
    return (0, *(seen.setdefault(known.apply(context), len(seen)) for known in TRANSFORMS))


def groups(rows: Iterable[Row]) -> list[int]:
    """Return each transform a number, so that two have the same number exactly where no row tells them apart."""
    current = [0] * len(_NAMES)
    for each in rows:
        seen: dict[tuple[int, int], int] = {}
        current = [seen.setdefault(pair, len(seen)) for pair in zip(current, each, strict=True)]
    return current


def alike(passwords: Iterable[str]) -> list[tuple[str, ...]]:
    """Name the groups of transforms (and "unchanged") that these passwords do not tell apart."""
    numbers = groups(map(row, passwords))
    found: dict[int, list[str]] = {}
    for name, number in zip(_NAMES, numbers, strict=True):
        found.setdefault(number, []).append(name)
    return [tuple(names) for names in found.values() if len(names) > 1]


def smallest_set(candidates: Sequence[str]) -> tuple[list[str], bool]:
    """Find a smallest set that tells apart all that the candidates do, the shortest passwords of the equally good.

    Gives the set and whether it was proven to be a smallest one. Needs ortools (its CP-SAT solver is exact).
    """
    rows = _worth_keeping(candidates)
    target = groups(rows.values())
    pairs = [(a, b) for a, b in combinations(range(len(_NAMES)), 2) if target[a] != target[b]]
    needed = set(sorted(pairs, key=lambda pair: sum(each[pair[0]] != each[pair[1]] for each in rows.values()))[:400])
    while True:
        chosen, proven = _cover(rows, needed)
        numbers = groups(rows[password] for password in chosen)
        missed = [pair for pair in pairs if numbers[pair[0]] == numbers[pair[1]]]
        if not missed:
            return chosen, proven
        needed |= set(missed[:200])


def _worth_keeping(candidates: Sequence[str]) -> dict[str, Row]:
    """Leave out candidates that tell nothing apart that another, or a shorter equal one, does not tell apart."""
    shortest: dict[Row, str] = {}
    for password in sorted(candidates, key=lambda each: (each in BEYOND, len(each.encode()), each)):
        shortest.setdefault(row(password), password)
    kept: dict[str, Row] = {}
    for each in sorted(shortest, key=lambda each: -len(set(each))):
        if not any(_refines(other, each) for other in kept.values()):
            kept[shortest[each]] = each
    return kept


def _refines(fine: Row, coarse: Row) -> bool:
    image: dict[int, int] = {}
    return all(image.setdefault(a, b) == b for a, b in zip(fine, coarse, strict=True))


def _cover(rows: dict[str, Row], needed: Collection[tuple[int, int]]) -> tuple[list[str], bool]:
    """Choose passwords so that each needed pair differs on one of them: few first, then short ones."""
    from ortools.sat.python import cp_model  # noqa: PLC0415 - only whoever computes the set anew needs the solver

    model = cp_model.CpModel()
    take = {password: model.new_bool_var(str(index)) for index, password in enumerate(rows)}
    for a, b in sorted(needed):
        model.add_bool_or([take[password] for password, each in rows.items() if each[a] != each[b]])
    model.minimize(sum(take.values()))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = 300
    solver.parameters.random_seed = 1
    solver.parameters.num_workers = 1  # one worker gives the same set every time
    status = solver.solve(model)
    return [password for password in rows if solver.value(take[password])], status == cp_model.OPTIMAL


def _records(chosen: Iterable[str]) -> list[Probe]:
    ordered = sorted(chosen, key=lambda password: (password in BEYOND, -len(set(row(password))), password))
    return [
        Probe(f"PR-{number:02}", password, password not in BEYOND, _comment(password))
        for number, password in enumerate(ordered, start=1)
    ]


def _comment(password: str) -> str:
    numbers = row(password)
    changing = sum(number != 0 for number in numbers)
    return f"changed by {changing} of {len(TRANSFORMS)} transforms, in {len(set(numbers)) - 1} different ways"


def _write() -> None:
    chosen, proven = smallest_set(pool())
    data = {
        "what": "the smallest set of passwords that detects every transform and tells any two apart",
        "account": {"username": USERNAME, "previous": PREVIOUS, "other": OTHER},
        "proven_smallest_for_the_pool": proven,
        "probes": [
            {
                "id": probe.id,
                "password": probe.password,
                "registry_accepts": probe.registry_accepts,
                "comment": probe.comment,
            }
            for probe in _records(chosen)
        ],
    }
    DATA.write_text(json.dumps(data, indent=2, ensure_ascii=True) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the probe set, after computing it anew when asked to; 1, as an exit code, means that it is not enough."""
    parser = argparse.ArgumentParser(prog="python -m registry.probes", description=__doc__)
    parser.add_argument("--write", action="store_true", help="compute the set anew and write registry/probes.json")
    if parser.parse_args(arguments).write:
        _write()
    known = probes()
    lines = [f"{probe.id}  {probe.password!a}  {probe.comment}" for probe in known]
    missing = sorted(set(alike(probe.password for probe in known)) - set(alike(pool())))
    lines += [
        f"registry/probes.json: does not tell apart {', '.join(names)}; run python -m registry.probes --write"
        for names in missing
    ]
    cycles = sum(probe.registry_accepts for probe in known)
    lines.append(
        f"{cycles} deploy+repave cycles (and {len(known) - cycles} beyond bcrypt) for {len(TRANSFORMS)} transforms"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
