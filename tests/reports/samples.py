"""Runs to report on: one case of each verdict, and runs of any size."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reports.records import (
    CaseFinished,
    EventRow,
    LeakGate,
    Moment,
    PullRecord,
    Record,
    RequirementRecord,
    RunFinished,
    RunStarted,
    WaiverInForce,
    utc,
)
from reports.verdicts import Verdict

BEGIN = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
GATE = LeakGate(files=9, secrets=2, forms=48, canary_found=True)

REQUIREMENTS = tuple(
    RequirementRecord(id=name, phases=phases, section=section, claim=claim)
    for name, phases, section, claim in (
        (
            "DEPLOY-01",
            ("deploy",),
            "Validate, step 5",
            "A deployment pulls the provider image with the profile's credentials.",
        ),
        ("REPAVE-03", ("repave",), "Known issue", "Every pull of a repave presents the password unchanged."),
        ("REPAVE-07", ("repave",), "Enablement, step 8", "A repave boots the image of the new profile version."),
        ("TLS-02", ("deploy",), "Limitations", "A certificate of an unknown authority is refused."),
        ("NODE-01", ("repave",), "Repave behavior", "Hosts of a cluster are repaved one at a time."),
        ("MASK-01", (), "Enablement, step 6", "The password never comes back in clear."),
        ("EVENT-01", ("deploy",), "Validate, step 4", "Events name the private registry."),
        ("CRED-04", ("repave",), "Known issue", "An alphanumeric password survives a repave."),
    )
)

WAIVER = WaiverInForce(
    id="PE-3568",
    requirement="CRED-04",
    owner="edge-team@example.com",
    reason="alphanumeric passwords are taken for base64 at repave",
    opened="2026-10-01",
    expires="2026-12-20",
    link="https://example.com/browse/PE-3568",
    fingerprint={"phase": "repave", "presented": "base64-decoded"},
)

FACTS = {
    "palette.version": "4.9.12",
    "host.edge-1.os": "Debian GNU/Linux 12 (bookworm)",
    "host.edge-1.containerd": "1.6.20",
    "image.v1.digest": "sha256:5d3f0c8a8e1f3b1b9a37c1f1f3f7c9d8a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1",
    "image.v2.digest": "sha256:9c1d8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b3a2f1e0d9c",
    "harness.version": "0.1.0",
    "python": "3.11.2",
}


def at(seconds: float) -> str:
    """Return the time that many seconds after the sample run's begin."""
    return utc(BEGIN + timedelta(seconds=seconds))


def started(**changes: object) -> RunStarted:
    """Return a first record."""
    record = RunStarted(
        run_id="20261122-030000-5eed",
        started=at(0),
        seed="20261122",
        command="./run conformance",
        level="nightly",
        site="lab (2 Edge hosts)",
        facts=FACTS,
        requirements=REQUIREMENTS,
        waivers=(WAIVER,),
        features=("local-api",),
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # a test names fields


def finished(**changes: object) -> RunFinished:
    """Return a last record."""
    record = RunFinished(ended=at(92), collected=8, leak_gate=GATE)
    return replace(record, **changes)  # type: ignore[arg-type]  # a test names fields


def pulls(presented: str = "intact", status: int = 200, begin: float = 10) -> tuple[PullRecord, ...]:
    """Return the pulls of a deployment that worked and a repave that presented ``presented``."""
    deployed = PullRecord(
        time=at(begin), phase="deploy", puller="agent", user_agent="skopeo/1.9.3", host="edge-1",
        repository="provider/ubuntu-k3s", reference="v1", presented="intact", status=200,
    )  # fmt: skip
    repaved = {"time": at(begin + 1.4), "phase": "repave", "puller": "node", "user_agent": "containerd/1.6.20"}
    return deployed, replace(deployed, **repaved, reference="v2", presented=presented, status=status)


def timeline(begin: float = 10) -> tuple[Moment, ...]:
    """Return a deployment and a repave as moments."""
    moments = [
        (-0.4, "api", "cluster created", ""),
        (0, "pull", "deploy: agent, intact", "edge-1"),
        (0.5, "host", "boot 1 (v1)", "edge-1"),
        (0.9, "api", "Running", ""),
        (1.1, "api", "profile version 1.1.0", ""),
        (1.4, "pull", "repave: node, base64-decoded, 401", "edge-1"),
        (1.9, "pull", "repave: node, base64-decoded, 401", "edge-1"),
        (2.6, "api", "Repave failed", ""),
    ]
    return tuple(
        Moment(time=at(begin + when), lane=lane, label=label, host=host) for when, lane, label, host in moments
    )


def case(verdict: Verdict, requirement: str = "DEPLOY-01", **changes: object) -> CaseFinished:
    """Return a case that ended with this verdict."""
    name = verdict.value.replace(" ", "_")
    record = CaseFinished(
        case=f"suites/lifecycle/test_repave.py::test_{name}[{requirement}]",
        verdict=verdict,
        title="Every pull of a repave presents exactly the password written in the cluster profile.",
        requirements=(requirement,),
        phase="repave",
        started=at(9),
        seconds=3.2,
        hosts=("edge-1",),
        vector="PW-017",
        vector_class="alphanumeric",
        seed="20261122",
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # a test names fields


def failing(**changes: object) -> CaseFinished:
    """Return the failure of a repave that decodes a password."""
    record = case(
        Verdict.FAIL,
        "REPAVE-03",
        expected="the password 'Passw0rdPassw0rd', unchanged",
        observed="base64-decode(password)",
        story=(
            "REPAVE-03  host edge-1 presented base64-decode(password) at repave; the profile says 'Passw0rdPassw0rd'",
        ),
        reproduce="./run conformance -k repave_presents --hypothesis-seed 20261122",
        pulls=pulls("base64-decoded", 401),
        timeline=timeline(),
        events=tuple(
            EventRow(time=at(seconds), severity=severity, reason=reason, message=message)
            for seconds, severity, reason, message in (
                (10, "Normal", "PullingImage", "pulling provider/ubuntu-k3s:v1 from registry.lab:5443"),
                (12, "Warning", "FailedPull", "authentication required at registry.lab:5443"),
            )
        ),
        attachments=("attachments/edge-1/journal.txt",),
        examples=12,
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # a test names fields


def one_of_each() -> tuple[Record, ...]:
    """Return a run in which every verdict occurs once."""
    return (
        started(),
        case(
            Verdict.PASS,
            "DEPLOY-01",
            pulls=pulls(),
            timeline=timeline(),
            notes=("`user` and `username` are both honoured",),
        ),
        failing(),
        case(Verdict.VACUOUS, "REPAVE-07", reason="the boot id of edge-1 did not change: no repave took place"),
        case(Verdict.DEAD, "TLS-02", reason="host edge-2 (10.7.0.12:22) is not reachable over SSH: connection refused"),
        case(Verdict.NOT_COVERED, "NODE-01", reason="the site has no feature 'multi-node'"),
        case(Verdict.ERROR, "MASK-01", reason="KeyError: 'resolved' in the harness"),
        case(
            Verdict.FIXED,
            "EVENT-01",
            reason="waiver PE-1234 expects a failure, but the case passes; remove the waiver",
            waiver="PE-1234",
        ),
        case(Verdict.KNOWN, "CRED-04", reason="waiver PE-3568", waiver="PE-3568", pulls=pulls("base64-decoded", 401)),
        finished(),
    )


def all_green(cases: int = 8) -> tuple[Record, ...]:
    """Return a run in which everything holds."""
    ended = tuple(
        case(Verdict.PASS, REQUIREMENTS[number % len(REQUIREMENTS)].id, case=f"suites/test_all.py::test_{number}")
        for number in range(cases)
    )
    return (started(waivers=()), *ended, finished(collected=cases))


def many(cases: int, red_every: int = 25) -> tuple[Record, ...]:
    """Return a big run, all of its cases with pulls and a timeline, some of them failing."""
    classes = ("alphanumeric", "base64 alphabet", "control characters", "long", "unicode", "yaml-typed")
    ended = []
    for number in range(cases):
        begin = 10 + number * 4
        requirement = REQUIREMENTS[number % len(REQUIREMENTS)].id
        node = f"suites/credentials/test_passwords.py::test_vector[PW-{number:04d}]"
        shape = {"case": node, "vector": f"PW-{number:04d}", "vector_class": classes[number % len(classes)]}
        made = failing(**shape) if number % red_every == red_every - 1 else case(Verdict.PASS, requirement, **shape)
        broken = made.verdict is Verdict.FAIL
        seen = pulls("base64-decoded" if broken else "intact", 401 if broken else 200, begin)
        ended.append(replace(made, requirements=(requirement,), pulls=seen, timeline=timeline(begin)))
    return (started(), *ended, finished(collected=cases, ended=at(10 + cases * 4)))
