"""Seeded faults by name or from a file: what is wrong with one is said before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.faults import UnknownFault, behaviour_of, fault, load, specify, specify_all
from lab.injection import DEPLOY_CREDENTIAL, POINTS, UPGRADE_CREDENTIAL, Behaviour, Fault, Point

OUTSIDE = """
from lab.faults import fault
from lab.injection import DEPLOY_CREDENTIAL

LOUDER = fault("louder", at=DEPLOY_CREDENTIAL, replace=lambda healthy, found: healthy(found) + "!",
               catches=["DEPLOY-03"], because="somebody thought of it")
"""


def named(name: str, point: Point = DEPLOY_CREDENTIAL) -> Fault:
    """Make a fault that puts its name around what the injection point gives."""
    return fault(
        name, at=point, replace=lambda healthy, found: f"{name}({healthy(found)})", catches=[], because="a test"
    )


def test_without_faults_the_healthy_function_decides() -> None:
    """At an injection point of a healthy lab the healthy function is called with what is given, nothing else."""
    assert Behaviour().at(DEPLOY_CREDENTIAL, lambda one, two: [one, two], 1, 2) == [1, 2]


def test_faults_wrap_in_the_order_they_are_given() -> None:
    """Of several faults at one injection point the last is the outermost; each decides if those before are asked."""
    behaviour = Behaviour((named("first"), named("second")))

    assert behaviour.at(DEPLOY_CREDENTIAL, str.upper, "x") == "second(first(X))"


def test_a_fault_acts_at_its_own_injection_point_only() -> None:
    """At every other injection point the lab stays healthy."""
    behaviour = Behaviour((named("fault", UPGRADE_CREDENTIAL),))
    others = [point for point in POINTS if point != UPGRADE_CREDENTIAL]

    assert [behaviour.at(point, str.upper, "x") for point in others] == ["X"] * len(others)
    assert behaviour.at(UPGRADE_CREDENTIAL, str.upper, "x") == "fault(X)"


def test_a_fault_may_take_several_injection_points() -> None:
    """A fault can be given as a mapping from injection points to replacements."""
    both = fault(
        "both", at={DEPLOY_CREDENTIAL: lambda _h, _f: 1, UPGRADE_CREDENTIAL: lambda _h, _f: 2}, catches=[], because="x"
    )

    assert [Behaviour((both,)).at(point, str, "x") for point in (DEPLOY_CREDENTIAL, UPGRADE_CREDENTIAL)] == [1, 2]


def test_a_fault_without_replacement_is_refused() -> None:
    """An injection point without a function to replace it is named."""
    with pytest.raises(ValueError, match="fault 'empty': injection point 'deploy-credential' has no replacement"):
        fault("empty", at=DEPLOY_CREDENTIAL, catches=[], because="nothing")


def test_injection_points_have_names_of_their_own() -> None:
    """No two injection points share a name, and each says what a healthy lab does there."""
    assert len({point.name for point in POINTS}) == len(POINTS)
    assert [point.name for point in POINTS if " -> " not in point.meaning] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("strict-bas64", "did you mean strict-base64"), ("xyzzy", r"the \d+ that there are stand in lab/faults/")],
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, said: str) -> None:
    """A name that is nearly right is answered with the right one first, and one like no other with where they are."""
    with pytest.raises(UnknownFault, match=f"{name}: there is no such fault; {said}"):
        specify(name)


def test_a_fault_from_a_file_needs_the_file_only_once(tmp_path: Path) -> None:
    """A fault from outside travels as its source: it is loaded where the file is not, by name or variable."""
    file = tmp_path / "outside.py"
    file.write_text(OUTSIDE)
    sent = [json.dumps(specify(f"{file}:{name}")) for name in ("louder", "LOUDER")]
    file.unlink()

    for text in sent:
        assert behaviour_of([json.loads(text)]).at(DEPLOY_CREDENTIAL, str.upper, "x") == "X!"


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        (None, "X", "cannot read .*none.py: No such file or directory"),
        ("import nothing_of_this_name", "X", "cannot be loaded: ModuleNotFoundError"),
        ("def :", "X", "cannot be loaded: SyntaxError"),
        ("# \udce9", "X", "cannot read .*none.py: 'utf-8' codec can't decode byte 0xe9"),
        ("raise SystemError('no')", "X", "cannot be loaded: SystemError"),
        ("X = 5", "X", "X: there is no such fault; the file has none"),
        (OUTSIDE, "luoder", "luoder: there is no such fault; did you mean louder"),
    ],
)
def test_a_file_that_gives_no_fault_is_refused(tmp_path: Path, source: str | None, name: str, said: str) -> None:
    """A file that is missing, does not load, or does not hold the fault, is refused with what is wrong."""
    file = tmp_path / "none.py"
    if source is not None:
        file.write_bytes(source.encode(errors="surrogateescape"))

    with pytest.raises(UnknownFault, match=said):
        specify(f"{file}:{name}")


def test_a_device_is_no_file_of_faults() -> None:
    """What has no end is not read to its end."""
    with pytest.raises(UnknownFault, match="/dev/zero: it is larger than 16384 KiB"):
        specify("/dev/zero:X")


def test_a_file_may_be_taken_whole(tmp_path: Path) -> None:
    """The name of a file stands for every fault in it, once each; a file without one is refused."""
    file, empty = tmp_path / "outside.py", tmp_path / "empty.py"
    file.write_text(OUTSIDE + OUTSIDE.replace("louder", "again").replace("LOUDER", "AGAIN"))
    empty.write_text("")

    assert [each["name"] for each in specify_all(str(file))] == ["louder", "again"]
    with pytest.raises(UnknownFault, match=r"empty\.py: the file has no fault"):
        specify_all(str(empty))


def test_a_specification_names_a_fault_of_the_project() -> None:
    """A fault of the project travels by its name alone."""
    assert specify("strict-base64") == {"name": "strict-base64"}
    assert load({"name": "strict-base64"}).name == "strict-base64"


def test_a_specification_says_whether_its_fault_is_only_watched() -> None:
    """Among those in force are no watched ones, and the other way round."""
    behaviour = behaviour_of([{"name": "workers-first"}, {"name": "retries-without-back-off", "watched": True}])

    assert [fault.name for fault in behaviour.faults] == ["workers-first"]
    assert [fault.name for fault in behaviour.watched] == ["retries-without-back-off"]
