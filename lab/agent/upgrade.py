"""The upgrade job of a repave: what runs, on the node, as a pod whose image is the provider image.

It is a process of its own and reads the credential from the cluster's Secret, not from the agent: the second reading
of the same password, on another path. ``python3 -m lab.agent.upgrade PLAN`` pulls with the node's runtime, prepares
the slot and prints a JSON record; the agent then switches and reboots.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.agent import places, runtime, secret
from lab.agent.puller import PullFailed
from lab.faults import behaviour_of
from lab.joints import UPGRADE_CREDENTIAL


def upgrade(plan: dict[str, Any]) -> dict[str, Any]:
    """Pull the planned image unless the node has it, and prepare its slot. Gives the record that is printed."""
    behaviour = behaviour_of(plan["faults"])
    image = str(plan["image"])
    credential = behaviour.at(UPGRADE_CREDENTIAL, lambda found: found, secret.load())
    runtime.trust(image.partition("/")[0], places.TRUST)
    present = runtime.has_image(image)
    try:
        if not present:
            runtime.pull(image, credential)
        slot = runtime.slot_of(image)
    except PullFailed as error:
        return {"error": str(error)}
    return {"slot": asdict(slot), "pulled": not present}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(upgrade(json.loads(Path(sys.argv[1]).read_text()))))
