"""The upgrade job of a repave: what runs, on the node, as a pod whose image is the provider image.

It is a process of its own (``lab/agent/jobs.py``) and reads the credential from the cluster's Secret, not from the
agent: the second reading of the same password, on another path. It pulls with the node's runtime, prepares the slot and
writes a JSON record beside its plan; the agent then switches and reboots.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lab.agent import kubernetes, places, runtime, scope, secret
from lab.agent.puller import PullFailed, by_digest
from lab.faults import behaviour_of
from lab.injection import (
    PULL_POLICY,
    SCOPE_LOGIN,
    UPGRADE_AUTHORITY,
    UPGRADE_CREDENTIAL,
    UPGRADE_IMAGE,
    UPGRADE_PULL,
    VERIFY_UPGRADE_TLS,
    Touch,
    Where,
)


def answer_to(plan: Path) -> Path:
    """Where a job writes its record."""
    return plan.with_name("answer.json")


def run(plan: Path) -> None:
    """Do what a plan says, as a job."""
    answer_to(plan).write_text(json.dumps(upgrade(json.loads(plan.read_text()))))


def upgrade(plan: dict[str, Any]) -> dict[str, Any]:
    """Pull the planned image unless the node has it, and prepare its slot. Return what the agent is told."""
    where, notes = Where(**plan["where"]), Path(plan["notes"])
    behaviour = behaviour_of(plan["faults"], where, lambda touch: _note(notes, touch))
    at, nth = behaviour.at, where.repave
    image = by_digest(at(UPGRADE_IMAGE, str, plan["image"]))
    credential = at(UPGRADE_CREDENTIAL, lambda found, _nth: found, secret.load(), nth)
    authority = at(UPGRADE_AUTHORITY, lambda file, _nth: file, places.TRUST, nth)
    runtime.trust(image.partition("/")[0], authority, verify=at(VERIFY_UPGRADE_TLS, lambda: True))
    try:
        wanted = at(PULL_POLICY, _if_not_present, image, runtime.has_image(image))
        if wanted:
            login = at(SCOPE_LOGIN, partial(scope.login_for, behaviour=behaviour), image, credential, authority)
            at(UPGRADE_PULL, kubernetes.upgrade if kubernetes.is_here() else runtime.pull, image, login)
        elif kubernetes.is_here():
            kubernetes.upgrade(image, None, pull=False)
        slot = runtime.slot_of(image)
    except PullFailed as error:
        return {"error": str(error)}
    return {"slot": asdict(slot), "pulled": wanted}


def _note(notes: Path, touch: Touch) -> None:
    with notes.open("a") as file:
        file.write(json.dumps(asdict(touch)) + "\n")


def _if_not_present(_image: str, present: bool) -> bool:  # noqa: FBT001 - the node has the image or not
    return not present
