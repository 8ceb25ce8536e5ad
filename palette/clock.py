"""The one place where this package asks what time it is and where it sleeps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Clock:
    """Monotonic seconds, wall-clock seconds since the epoch, and a way to let seconds pass.

    Waiting and pausing follow ``now``, which no clock correction moves; ``wall`` only labels what happened when.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
