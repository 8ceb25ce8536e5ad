"""``python -m harness.sites.site_init [FILE]``: write a commented site file; an existing one is left alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from foreign import one_line
from foreign.arguments import Parser
from harness.sites.site_from_palette import filled_in
from harness.sites.site_schema import is_proxy
from palette import Palette
from palette.errors import PaletteError
from protected import Secret

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

WRITTEN, REFUSED = 0, 4

TEMPLATE = """\
# A site: a Palette project, Edge hosts that may be used, and where those hosts reach a registry on this machine.
# Replace what stands in capitals, then: ./run doctor --site THIS-FILE
# Secrets never stand here: {env: VARIABLE} or {file: PATH} says where each is kept. Paths are relative to this file.

name: my-site                             # as reports call it

palette:
  url: https://api.spectrocloud.com       # https://host[:port] of the API
  project: PROJECT                        # by its name
  api_key: {env: PALETTE_API_KEY}         # or {file: /run/secrets/palette}
  # authority: palette-ca.pem             # on premises: the authority of Palette's certificate
  # proxy: http://proxy.example:3128      # to Palette; with a login {env: HTTPS_PROXY}; without this key none is used
  # rate_limits: false                    # only for an endpoint of your own: do not keep the published limits

# Only these hosts are ever used. Their clusters are deployed, repaved and deleted: list hosts that nobody needs.
edge_hosts:
  - uid: EDGE-HOST-UID                    # by uid
    ssh: USER@ADDRESS                     # user@host[:port]
  # - name: edge-7                        # or by its name in Palette
  #   ssh: kairos@10.20.0.17:2222
  #   key: keys/edge-7                    # where this host differs from ssh below
  #   jump: qa@bastion-2.example
  #   sudo: false
  #   pull_addresses: [192.0.2.10]        # as this machine sees the host, where it is behind NAT
  #   host_name: edge-7                   # the host's name and network in a cluster, where Palette is to set them
  #   nic_name: eth0
  #   static_ip: 10.20.0.17
  #   subnet_mask: 255.255.255.0
  #   default_gateway: 10.20.0.1
  #   dns_servers: [10.20.0.2]
  # - tag: rack:qa-2                      # or every host with a tag; {address} and {name} are as Palette has them
  #   ssh: kairos@{address}

# Your cluster profile, published and with a Bring Your Own OS layer. It is cloned and never changed.
# profile: edge-base                      # its newest version; or which one:
#   name: edge-base
#   version: 1.2.0
#   uid: 0123456789abcdef01234567         # in place of name and version
#   variables: {domain: qa.example}       # values of its variables; of secret ones {env: VARIABLE} or {file: PATH}
#   os_values: os-layer.yaml              # the OS layer's values, where Palette masks them

# Without a profile of your own one is made of packs. Which Kubernetes it is comes from the provider image (k3s, rke2,
# kubeadm or canonical, and the version); the network layer is cni-calico. What differs or is not found out is named:
# packs:
#   kubernetes:
#     name: edge-rke2
#     tag: "1.33.5"
#     registry: Public Repo
#     values: rke2.yaml                   # instead of the pack's own
#   cni:
#     name: cni-calico
#   csi:
#     name: csi-local-path-provisioner

# The clusters' network, in the words of the vendor's Terraform provider; without it Palette assigns a virtual IP.
# cluster:
#   vip: 10.20.0.50-10.20.0.59            # free addresses of the hosts' network, one for each cluster at a time
#   endpoint_type: VIP                    # or External or DDNS, with names in vip
#   ddns_search_domain: qa.example        # with DDNS
#   overlay_cidr_range: 100.64.192.0/23   # or an overlay network
#   ntp_servers: [ntp.example]
#   ssh_keys: [ssh-ed25519 AAAA...]       # for the user spectro
#   control_plane_as_worker: true
#   two_node: true                        # clusters of two hosts are two-node clusters

# What must be left alone, by name or uid: refused before it is sent, whatever a case asks for.
# never_touch:
#   clusters: [production-east]
#   profiles: [golden-edge]
#   edge_hosts: [edge-1]

ssh:                                      # for every host that says nothing else
  # key: ~/.ssh/edge_ed25519              # default: the keys that ssh itself would use
  # known_hosts: edge_known_hosts         # default: ~/.ssh/known_hosts; host keys are always checked
  # jump: qa@bastion.example              # user@host[:port] of a jump host, with the same key and known hosts
  sudo: true                              # commands on the hosts need root

registry:
  bind: THIS-MACHINE                      # this machine's address, as the hosts reach it
  port: 5443                              # 0 takes a free one; hosts must be let through to it
  # ports: 5443-5450                      # in place of port: one for each worker of a run with -n
  # names: [registry.qa.example]          # further names under which hosts reach it, for its certificate
  # existing:                             # a registry of your own instead of one that the run starts; bind is then
  #   address: registry.example:5000      # where the witness stands in front of it (leave bind out if hosts reach none)
  #   authority: registry-ca.pem          # the authority of its certificate, if it is not well-known
  #   pusher:                             # may push and delete images below conformance/
  #     username: conformance-push
  #     password: {env: PALETTE_PUSH_PASSWORD}
  #   accounts:                           # may pull; cases that need other passwords than these are not covered
  #     - username: conformance-probe-1
  #       password: {env: PALETTE_PROBE_1_PASSWORD}

# The image to start from: an OCI image layout (skopeo copy docker://REGISTRY/IMAGE:TAG oci:images/provider) ...
provider_image: oci:images/provider
# ... or an image in your registry, which is copied into the run's own
# provider_image:
#   reference: registry.example/team/edge-provider:v1
#   username: robot
#   password: {env: PALETTE_IMAGE_PASSWORD}
#   authority: registry-ca.pem            # the authority of that registry's certificate, if it is not well-known
#   proxy: http://proxy.example:3128      # on the way from this machine to that registry

# What the site can do beyond the core; a case that needs more is reported as not covered. With kubernetes, what a
# cluster's own API says of nodes, upgrade pods and pulls is kept beside every case, through the kubeconfig that Palette
# has of the cluster, or through this one.
# features: [kubernetes, multi-node]
# kubernetes:
#   kubeconfig: {env: PALETTE_KUBECONFIG}

# 20 presents a password of every class, 1 a twentieth of them; by night seven times as many. Each costs a pull.
# The probe set, 11 of them, is presented in any case and tells all known changes of a password apart.
# examples: 1

# Seconds; the defaults suit real hosts. The names are in docs/real-sites.md. Where Palette and hosts are virtual
# machines of this machine, time-outs grow while it is overloaded, up to five times.
# timeouts: {repave: 5400}
# same_machine: true
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or say why not; return the exit code."""
    parser = Parser(prog="./run site-init", description="Write a commented site file to be filled in.")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, default=Path("site.yaml"), help="default: site.yaml"
    )
    parser.add_argument("--from", dest="palette", metavar="URL", help="ask a Palette for hosts and profiles")
    parser.add_argument("--project", metavar="NAME", default="Default", help="with --from: the project (Default)")
    parser.add_argument(
        "--api-key", metavar="VARIABLE", default="PALETTE_API_KEY", help="with --from: the variable that holds the key"
    )
    parser.add_argument("--authority", metavar="FILE", help="with --from: the authority of Palette's certificate, PEM")
    parser.add_argument("--proxy", metavar="VARIABLE", help="with --from: the variable that holds the URL of a proxy")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as error:
        return REFUSED if error.code else WRITTEN
    try:
        text = TEMPLATE if given.palette is None or given.file.exists() else _asked(given)
    except (PaletteError, LookupError, ValueError, OSError) as error:
        sys.stderr.write(f"site-init: --from {one_line(given.palette)}: {one_line(str(error.args[0]))}\n")
        return REFUSED
    return _write(given.file, text)


def _asked(given: argparse.Namespace) -> str:
    """Return the template filled in from a Palette. Raises PaletteError, LookupError, ValueError, OSError."""
    key = _variable(given.api_key, "the API key")
    proxy = given.proxy and _variable(given.proxy, "the URL of a proxy")
    if proxy and not is_proxy(proxy):
        raise ValueError(f"environment variable {given.proxy} is no URL of a proxy; write http://host:port into it")
    url = given.palette.rstrip("/")
    with Palette(url, api_key=Secret(key), authority=given.authority, proxy=proxy) as palette:
        authority = None if given.authority is None else str(Path(given.authority).resolve())
        return filled_in(TEMPLATE, palette.in_project(given.project), url, given.api_key, authority, given.proxy)


def _variable(name: str, what: str) -> str:
    if not (value := os.environ.get(name, "")):
        raise ValueError(f"environment variable {name} is not set; it holds {what}")
    return value


def _write(file: Path, text: str) -> int:
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        sys.stderr.write(f"site-init: {file} is there already and was left as it is; name another file\n")
        return REFUSED
    except OSError as error:
        sys.stderr.write(f"site-init: {file} cannot be written: {error.strerror}; name a place that can be\n")
        return REFUSED
    sys.stdout.write(f"{file.absolute()} is written; fill it in, then: ./run doctor --site {file}\n")
    return WRITTEN


if __name__ == "__main__":
    sys.exit(main())
