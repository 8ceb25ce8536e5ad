"""An Edge host as its operator sees it: over SSH, through testinfra."""

from edge.access import CommandRefusedError, HostUnreachable, SshAccess
from edge.boot import BootFacts, RebootProof, reboot_proof
from edge.host import EdgeHost
from edge.layouts import Distribution, HostLayout, Mode, UnknownLayoutError
from edge.search import BlindSearchError

__all__ = [
    "BlindSearchError",
    "BootFacts",
    "CommandRefusedError",
    "Distribution",
    "EdgeHost",
    "HostLayout",
    "HostUnreachable",
    "Mode",
    "RebootProof",
    "SshAccess",
    "UnknownLayoutError",
    "reboot_proof",
]
