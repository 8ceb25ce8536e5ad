"""Wait for what happens elsewhere: in another thread, process or container."""

from __future__ import annotations

import time
from collections.abc import Callable


def settled(look: Callable[[], bool], within: float) -> bool:
    """Look until it is true or the time is up; return whether it is true."""
    deadline = time.monotonic() + within
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
