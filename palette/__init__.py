"""A client of the Palette REST API for what an Edge cluster from a private registry needs.

Written against the published API description (4.8 and 4.9), facts in ``docs/palette.md`` §3.
"""

from palette.client import Palette, ProjectView
from palette.errors import PaletteError
from palette.limits import Limits
from palette.waiting import Timeouts, WaitAbortedError, WaitError, WaitTimeoutError
from waiting.retry import RetryPolicy

__all__ = [
    "Limits",
    "Palette",
    "PaletteError",
    "ProjectView",
    "RetryPolicy",
    "Timeouts",
    "WaitAbortedError",
    "WaitError",
    "WaitTimeoutError",
]
