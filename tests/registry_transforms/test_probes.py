"""The probe set detects every transform and tells any two apart, by brute force over everything that is known."""

from __future__ import annotations

import base64
from itertools import combinations

import pytest

from registry import probes as probe_module
from registry.classify import Configured, narrow, prepare
from registry.hazards import pool
from registry.htpasswd import unusable
from registry.probes import OTHER, PREVIOUS, USERNAME, Probe, alike, main, probes
from registry.transforms import TRANSFORMS, Context, Transform, wire
from tests.registry_transforms.pool import POOL

PROBES = probes()
READY = {probe.id: prepare(Configured(USERNAME, probe.password, PREVIOUS, OTHER)) for probe in PROBES}


def presented(known: Transform, password: str) -> bytes | None:
    """Return what a transform makes of a password, in the account that probes are computed for."""
    return known.apply(Context(password, USERNAME, PREVIOUS, OTHER))


@pytest.mark.parametrize("known", TRANSFORMS, ids=lambda known: known.id)
def test_every_transform_changes_a_probe(known: Transform) -> None:
    """Whatever a site does to passwords, at least one probe shows it."""
    assert any(presented(known, probe.password) != wire(probe.password) for probe in PROBES)


def test_transforms_that_differ_anywhere_differ_on_a_probe() -> None:
    """Two transforms that give different results for any password that is known give different ones for a probe."""
    on_probes = [tuple(presented(known, probe.password) for probe in PROBES) for known in TRANSFORMS]
    alike_on_probes = [(a, b) for a, b in combinations(range(len(TRANSFORMS)), 2) if on_probes[a] == on_probes[b]]

    differing = [
        (TRANSFORMS[a].id, TRANSFORMS[b].id, ascii(password))
        for a, b in alike_on_probes  # few, and no other pair is in question
        for password in (*pool(), *POOL)
        if presented(TRANSFORMS[a], password) != presented(TRANSFORMS[b], password)
    ]

    assert differing == []


def test_no_probe_is_superfluous() -> None:
    """Leaving any probe out loses a distinction, so no repave is spent for nothing."""
    whole = alike(probe.password for probe in PROBES)
    for left_out in PROBES:
        assert alike(probe.password for probe in PROBES if probe is not left_out) != whole, left_out.id


def test_probes_say_truly_what_the_registry_accepts() -> None:
    """A probe marked as accepted can be an account of the registry, and one that is not cannot."""
    assert [
        probe.id for probe in PROBES if probe.registry_accepts != (unusable(USERNAME, probe.password) is None)
    ] == []


def test_the_set_is_small() -> None:
    """The probes cost far fewer deployments and repaves than one for each transform would."""
    assert len(PROBES) <= 15


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_every_transform_is_named_on_every_probe_it_changes(probe: Probe) -> None:
    """On a probe that it changes, a single transform is always among the explanations, and never called intact."""
    ready = READY[probe.id]
    for known in TRANSFORMS:
        made = presented(known, probe.password)
        if made is None or made == wire(probe.password) or known.id == "swapped":
            continue
        found = ready.classify(b"Basic " + base64.b64encode(USERNAME.encode() + b":" + made))
        assert found.kind == "changed"
        assert known.id in found.explanations


@pytest.mark.parametrize("known", TRANSFORMS, ids=lambda known: known.id)
def test_probing_names_the_one_transform_that_happened(known: Transform) -> None:
    """All probes together leave exactly the transform that happened, where it presents something each time."""
    observed = []
    for probe in PROBES:
        made = presented(known, probe.password)
        if made is not None:
            observed.append(READY[probe.id].classify(b"Basic " + base64.b64encode(USERNAME.encode() + b":" + made)))

    assert known.id in narrow(observed) or known.id == "swapped"
    if len(observed) == len(PROBES) and known.id != "swapped":
        assert [name for name in narrow(observed) if _never_fails(name)] == [known.id]


def _never_fails(name: str) -> bool:
    known = next(each for each in TRANSFORMS if each.id == name)
    return all(presented(known, probe.password) is not None for probe in PROBES)


ACCEPTED = tuple(probe for probe in PROBES if probe.registry_accepts)


def as_pullers_do(known: Transform) -> tuple[str, ...]:
    """Name a transform from the probes that a registry accepts, pulled by programs that send no empty password."""
    spoken, silent = [], []
    for probe in ACCEPTED:
        made = presented(known, probe.password)
        if made:
            spoken.append(READY[probe.id].classify(b"Basic " + base64.b64encode(USERNAME.encode() + b":" + made)))
        else:
            silent.append(READY[probe.id].classify(None))
    return narrow(spoken, silent)


@pytest.mark.parametrize("known", TRANSFORMS, ids=lambda known: known.id)
def test_a_pull_that_stays_anonymous_tells_transforms_apart_too(known: Transform) -> None:
    """Accepted probes name exactly the transform that happened, also where it leaves nothing that a puller sends."""
    alike_here = next((names for names in alike(probe.password for probe in ACCEPTED) if known.id in names), ())
    expected = tuple(name for name in alike_here if name != probe_module.UNCHANGED) or (known.id,)
    if all(not presented(known, probe.password) for probe in ACCEPTED):
        expected = ()  # nobody ever presented anything: silence alone names nothing
    elif "swapped" in alike_here:
        expected = ("user-name",)  # a swap is named by the user name, too

    assert set(as_pullers_do(known)) == set(expected)


def test_the_command_prints_the_set_and_is_content(capsys: pytest.CaptureFixture[str]) -> None:
    """The command lists the probes and their cost, and ends well while they suffice."""
    assert main([]) == 0
    assert "deploy+repave cycles" in capsys.readouterr().out


def test_the_command_notices_a_set_that_does_not_suffice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a probe missing, the command names what is no longer told apart and ends with an error."""
    monkeypatch.setattr(probe_module, "probes", lambda: PROBES[1:])

    assert main([]) == 1
    assert "does not tell apart" in capsys.readouterr().out
