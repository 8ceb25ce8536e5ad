"""A fault file may be of any size: its text passes the lab's socket whole."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lab import serving
from lab.control import RunningLab
from lab.faults import specify
from lab.palette.server import PaletteEndpoint
from lab.palette.settings import Settings
from lab.settings import LabSettings
from lab.site import Lab

FILE = """
from lab.faults import fault
from lab.injection import LOG

LARGE = fault("large", at=LOG, replace=lambda healthy, message, order: healthy(message, order), catches=[], because="")
"""


def test_a_fault_file_of_a_megabyte_reaches_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run takes a lab with a fault whose source is longer than a line may usually be."""
    (tmp_path / "large.py").write_text(FILE + "#" * 2**20)
    specification = specify(f"{tmp_path}/large.py:large")
    with TemporaryDirectory() as short:  # the path of a socket is short
        settings, ready = LabSettings(Path(short)), threading.Event()
        endpoint = PaletteEndpoint(Settings(api_keys=("k",), registration_tokens=("t",)))

        @contextlib.asynccontextmanager
        async def pretended(*_: Any) -> AsyncIterator[Lab]:  # noqa: ANN401 - whatever a lab is made of
            yield Lab(settings, None, None, None, None, endpoint, 0)  # type: ignore[arg-type]  # no host is asked for

        monkeypatch.setattr(serving, "running_lab", pretended)
        stop, loop = asyncio.Event(), asyncio.new_event_loop()
        served = serving._serve(settings, None, None, lambda _said: ready.set(), stop)  # type: ignore[arg-type]
        thread = threading.Thread(target=loop.run_until_complete, args=(served,))
        thread.start()
        try:
            assert ready.wait(10)
            with RunningLab(settings, None).taken("a run", [specification]):
                assert [fault["name"] for fault in endpoint.faults] == ["large"]
                assert RunningLab(settings, None).ask("touches") == {"touches": []}
            assert endpoint.faults == ()
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()
