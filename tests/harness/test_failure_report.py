"""How the change of a password is told: transform, phase, host and path; several of them plainly."""

from __future__ import annotations

import base64
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from harness.evidence import ClusterEvidence, Evidence
from harness.failure_report import diagnosis_lines, event_lines, first_change, words_of
from harness.private_registry import Diagnosis, SiteWitness, presented_words
from registry.classify import Configured, Presented, meaning, prepare
from registry.probes import probes
from registry.pulls import Mark, RequestLog, now
from registry.pulls import Pull as Request
from registry.transforms import Context, transform
from registry.witness import Witness
from reports.records import EventRow, PullRecord

CASE = "suites/credentials/test_passwords.py::test_the_probe_set_arrives_unchanged"
ASKED = ("p:missing-6: not found", "p:v1: 401")
AGENT, NODE = "skopeo/1.9.3", "containerd/1.6.20"


class SeenStub:
    """A journal written by hand, asked as the witness is."""

    def __init__(self) -> None:
        self.journal = RequestLog()

    def came(self, phase: str, agent: str, presented: Presented, cluster: str = "c", *, later: int = 0) -> None:
        """Note a request, as one that came ``later``, in seconds."""
        mark, at = Mark(phase, cluster, CASE), now() + timedelta(seconds=later)
        request = Request(at, "10.0.0.5", "edge-1", agent, "GET", "manifest", "a", "v1", presented, mark=mark)
        self.journal.open(request)

    def witness(self, at: str = "") -> SiteWitness:
        """Return it in the words of a suite."""
        asked = SimpleNamespace(pulls=lambda cluster=None, **which: Witness.pulls(cast("Any", self), cluster, **which))
        return SiteWitness(cast("Any", asked), at)


def repaved_with(name: str) -> SeenStub:
    """Return evidence of every probe deployed intact and repaved through a transform."""
    seen = SeenStub()
    for probe in probes():
        if not probe.registry_accepts:
            continue
        ready = prepare(Configured("user", probe.password))
        made = transform(name).apply(Context(probe.password, "user"))
        for phase, agent, value in (
            ("deploy", AGENT, probe.password.encode()),
            ("repave", AGENT, None),  # the agent only asks whether the registry is there
            ("repave", NODE, None),
            ("repave", NODE, made),
        ):
            header = b"Basic " + base64.b64encode(b"user:" + value) if value else None
            seen.came(phase, agent, ready.classify(header), cluster=probe.id)
    return seen


@pytest.mark.parametrize("path", ["v2/", "v2/conformance/provider/manifests/sha256:501ab4ddd041"])
def test_a_registry_that_does_not_answer_is_named_in_our_words(path: str) -> None:
    """Of two cases whose registry was gone the one named a library's pool, and each path was a cause of its own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.ConnectionError) as caught:
            session.get(f"https://{place}/{path}", timeout=5)

    assert words_of(caught.value) == (
        f"{place} does not answer: nothing listens at this address and port: Connection refused"
    )


@pytest.mark.parametrize("name", ["base64-standard", "base64-alphanumeric-prefix", "base64-if-canonical", "trimmed"])
def test_the_probe_set_names_transform_phase_host_and_path(name: str) -> None:
    """From all probes together follows the one transform, the one phase and path on which it happened, and where."""
    witness = repaved_with(name).witness()

    assert witness.diagnosis(CASE, "deploy") == []
    assert witness.diagnosis(CASE, "repave") == [Diagnosis("node", ("edge-1",), (name,))]


def test_each_path_is_diagnosed_for_itself() -> None:
    """What the agent presents says nothing of what the node makes of the same password in the same phase."""
    seen = SeenStub()
    ready = prepare(Configured("user", "Passw0rd"))
    seen.came("repave", AGENT, ready.classify(b"Basic " + base64.b64encode(b"user:Passw0rd")))
    seen.came("repave", NODE, ready.classify(b"Basic " + base64.b64encode(b"user:passw0rd")))

    assert [found.puller for found in seen.witness().diagnosis(CASE, "repave")] == ["node"]


def test_several_explanations_are_said_to_be_equal() -> None:
    """One transform is named; of several none is preferred, and those not shown are counted."""
    assert meaning(("trimmed",)).startswith("trimmed (")
    several = meaning(("trimmed", "trimmed-left", "trimmed-right", "newlines-lost"))
    assert several.startswith("trimmed (")
    assert several.endswith("; or 1 other")


def test_six_events_that_differ_in_a_number_are_one_line() -> None:
    """A walk of six missing tags quotes one event, and the one that refused a login beside it."""
    told = [f"provider:missing-{number}: not found" for number in range(6)] + ["status code: 401 Unauthorized"]
    rows = tuple(EventRow(time="", reason="FailedPullImage", message=message) for message in told)
    kept = ClusterEvidence("c", ("edge-1",), events=rows)

    assert event_lines(Evidence(folder=cast("Any", None), case=CASE, clusters=[kept])) == [
        "  event FailedPullImage: provider:missing-5: not found",
        "  event FailedPullImage: status code: 401 Unauthorized",
    ]


def test_a_tag_that_is_missing_on_purpose_is_not_quoted_beside_a_changed_login() -> None:
    """What a case asked for in vain, with the right login, is no event of a failure that a changed login explains."""
    rows = tuple(EventRow(time="", reason="FailedPullImage", message=f"10.0.0.1:5/{what}") for what in ASKED)
    missing = replace(_pull("p", "intact"), reference="missing-6", status=404)
    changed = (missing, _pull("p", "base64-decoded"))

    for seen, first in (((missing,), "p:missing-6: not found"), (changed, "p:v1: 401")):
        kept = ClusterEvidence("c", ("edge-1",), pulls=seen, events=rows)
        told = event_lines(Evidence(folder=cast("Any", None), case=CASE, clusters=[kept]))
        assert told[0] == f"  event FailedPullImage: 10.0.0.1:5/{first}"


def evidence(witness: SiteWitness | None = None) -> Evidence:
    """Return what a case with two examples left: the first was changed, the second was not."""
    clusters = [
        ClusterEvidence("one", ("edge-1",), pulls=(_pull("one", "base64-decoded"),), vector="PR-01"),
        ClusterEvidence("two", ("edge-1",), pulls=(_pull("two", "intact"),), vector="PR-02"),
    ]
    return Evidence(folder=cast("Any", None), case=CASE, clusters=clusters, vector="PR-02", witness=witness)


def _pull(repository: str, presented: str) -> PullRecord:
    return PullRecord(
        time="2026-01-01T00:00:00.000Z", phase="repave", puller="node", user_agent=NODE, host="edge-1",
        repository=repository, reference="v1", presented=presented, status=401,
    )  # fmt: skip


def test_the_vector_that_was_changed_is_said() -> None:
    """Where examples are told together, the change is told with the vector of its own example, not of the last."""
    assert first_change(evidence()) == "host edge-1 presented base64-decode(password) at repave; the profile says PR-01"


def test_what_a_second_registry_was_asked_for_is_told_too(tmp_path: Path) -> None:
    """Pulls from every registry of a case stand in one table, in order of time; a second registry's by its address."""
    ours, theirs, ready = SeenStub(), SeenStub(), prepare(Configured("user", "Passw0rd"))
    for later, seen, agent in ((0, ours, AGENT), (1, theirs, AGENT), (2, ours, NODE)):
        seen.came("repave", agent, ready.classify(None), later=later)
    evidence = Evidence(tmp_path, CASE, witness=ours.witness(), other_witnesses=[theirs.witness("10.0.0.1:5001")])
    site = SimpleNamespace(features=())
    evidence.keep(
        cast("Any", SimpleNamespace(uid="", name="c", hosts=(), phases=(), sightings=(), site=site, since=None)),
        failed=False,
    )

    (kept,) = evidence.clusters
    assert [(pull.repository, pull.user_agent) for pull in kept.all_pulls] == [
        ("a", AGENT), ("10.0.0.1:5001/a", AGENT), ("a", NODE),
    ]  # fmt: skip


def test_what_another_registry_was_shown_is_not_the_headline() -> None:
    """A login that another registry does not know is in the table; what it means is said by the case itself."""
    kept = ClusterEvidence(
        "c", ("edge-1",), pulls=(_pull("one", "intact"),), elsewhere=(_pull("b/one", "unknown change"),)
    )
    evidence = Evidence(folder=cast("Any", None), case=CASE, clusters=[kept])

    assert first_change(evidence) == ""


def test_the_diagnosis_says_phase_path_and_host() -> None:
    """The line under the headline names phase, path, host and transform."""
    (line,) = diagnosis_lines(evidence(repaved_with("base64-standard").witness()))

    assert line.startswith("  repave, node of edge-1: everything seen equals what base64-standard (")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("special characters removed", "a value equal to the password special characters removed"),
        ("unknown change: the first 64 of 69 bytes", "an unknown change of the password: the first 64 of 69 bytes"),
        ("unknown user", "an unknown user name, the password beside it intact,"),
        ("the login of the deployment", "the login of the deployment"),
        ("base64-decoded", "base64-decode(password)"),
    ],
)
def test_what_coincides_is_not_said_to_have_happened(name: str, said: str) -> None:
    """A headline says what a value equals, what can be seen of it, or whose login it is."""
    assert presented_words(name) == said


def test_a_login_that_is_wrong_on_purpose_accuses_nothing() -> None:
    """What a case wants refused is no headline, and an intact password beside a changed user name has no diagnosis."""
    kept = ClusterEvidence("c", ("edge-1",), pulls=(_pull("one", "wrong on purpose"),))
    seen, ready = SeenStub(), prepare(Configured("user", "Passw0rd"))
    seen.came("repave", NODE, ready.classify(b"Basic " + base64.b64encode(b"someone-else:Passw0rd")))

    assert first_change(Evidence(folder=cast("Any", None), case=CASE, clusters=[kept])) == ""
    assert seen.witness().diagnosis(CASE, "repave") == []
