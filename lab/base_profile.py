"""The cluster profile that the lab's project has from the start, as a user's project has one.

Its OS layer is written as people write theirs: presets and comments of the pack, stages of their own, quotes and
indentation as they come.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

from lab.kinds import DEFAULT, KINDS
from lab.palette.catalogue import by_name

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kinds import LabKind

NAME, VERSION = "edge-base", "1.2.0"
OS_VALUES = """\
# Bring Your Own OS (BYOOS), appliance mode
pack:
  content:
    images:
      - image: "{{.spectro.pack.edge-native-byoi.options.system.uri}}"
      # - image: example.io/my-other-images/example:v1.0.0
  drainPods: 'auto'   # true, false or auto

options:
    system.uri: example.io/my-images/example-custom-os:v1.4.5   # the provider image

stages:
  initramfs:
    - name: "Core system setup"
      users:
        kairos:
          groups: [sudo]
      commands:
      - 'echo "set up" > /etc/set-up'
  boot:
    - name: motd
      files:
        - path: /etc/motd.d/lab
          content: |
            # not a comment: a line of the file

              indented
"""


def document(kind: LabKind) -> dict[str, Any]:
    """Return the body of the request that creates the profile (``v1ClusterProfileEntity``)."""
    packs = []
    for name in ("edge-native-byoi", kind.pack, "cni-calico"):
        pack = by_name(name)
        assert pack is not None
        tag = kind.tag if name == kind.pack else pack.latest
        values = OS_VALUES if pack.layer == "os" else pack.values
        packs.append(
            {"name": name, "layer": pack.layer, "type": "spectro", "tag": tag, "uid": pack.uid(tag), "values": values}
        )  # fmt: skip
    template = {"type": "infra", "cloudType": "edge-native", "packs": packs}
    return {"metadata": {"name": NAME}, "spec": {"version": VERSION, "template": template}}


def create(url: str, project: str, api_key: str, authority: Path, kind: LabKind = KINDS[DEFAULT]) -> None:
    """Create and publish the profile through the lab's own API, as any user would."""
    request = urllib.request.Request(  # noqa: S310 - the lab's own address
        f"{url}/v1/clusterprofiles?publish=true",
        data=json.dumps(document(kind)).encode(),
        headers={"ApiKey": api_key, "ProjectUid": project, "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cafile=str(authority))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener.open(request, timeout=10).close()
