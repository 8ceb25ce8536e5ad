"""An Edge host as its operator sees it: over SSH, through testinfra."""

from edge.access import HostUnreachable, SshAccess
from edge.boot import BootFacts, RebootProof, reboot_proof
from edge.host import EdgeHost

__all__ = ["BootFacts", "EdgeHost", "HostUnreachable", "RebootProof", "SshAccess", "reboot_proof"]
