"""The lab's Palette endpoint: the published Palette REST API in front of Edge hosts that run the reference agent.

:class:`PaletteEndpoint` serves it from an event loop of the caller; :func:`serving` runs one in a thread.
"""

from lab.palette.server import PaletteEndpoint, serving
from lab.palette.settings import Settings, Strictness

__all__ = ["PaletteEndpoint", "Settings", "Strictness", "serving"]
